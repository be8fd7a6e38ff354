# completion.bash - complete the command lines of miniblk-img and miniblk-io, in bash
# SPDX-License-Identifier: MIT
#
# It knows no option: it asks the program. Commands, their options and the formats are what --help prints, and the
# options of an image are what "-o help" prints. Where nothing is offered, bash offers file names.

# Set words[] to the words up to the cursor as the program will get them, cur to the last of them, and last to the one
# before it. Readline has split them at "=" and ":"
_miniblk_split() {
    local word glue=

    words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        if [[ ${#words[@]} -gt 0 && ( $glue || $word == [=:]* ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        [[ $word == *[=:] ]] && glue=yes || glue=
    done
    [[ ${words[0]} == '~/'* ]] && words[0]=$HOME/${words[0]:2}
    cur=${words[-1]}
    last=${words[-2]}
}

_miniblk_offer_no_files() {
    compopt +o default +o bashdefault 2>/dev/null   # it complains outside of a completion, as in tests
}

# Offer those of $1$2, $1$3, ... that begin with what is typed, without what readline takes for words before them
_miniblk_offer() {
    local before=$1 cut= word

    shift
    [[ $COMP_WORDBREAKS == *=* && $cur == *=* ]] && cut=${cur%=*}=
    [[ $COMP_WORDBREAKS == *:* && ${cur#"$cut"} == *:* ]] && cut=${cur%:*}:
    for word; do
        word=$before$word
        [[ $word == "$cur"* ]] && COMPREPLY+=("${word#"$cut"}")
    done
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    _miniblk_offer_no_files
}

# Read options from a text of --help. value[] gets the word that stands for the value of each: value[-f]=fmt,
# value[-q]= or value[if=]=input. In "-c, --cmd COMMAND" it counts for both
_miniblk_read_options() {
    local text=$1 option short=
    local one='(^|[][ (|])(--?[A-Za-z][-A-Za-z]*|[a-z]+=)(=?([a-z_]+)| ([A-Za-z_]+(\|[a-z]+)*))?(,?)'

    while [[ $text =~ $one ]]; do
        option=${BASH_REMATCH[2]}
        text=${text#*"${BASH_REMATCH[0]}"}
        value[$option]=${value[$option]:-${BASH_REMATCH[4]}${BASH_REMATCH[5]}}
        [[ $short == -? && $option == --* && ! ${value[$short]} ]] && value[$short]=${value[$option]}
        [[ ${BASH_REMATCH[7]} ]] && short=$option || short=
    done
}

# Read them from what "$@ --help" prints: the usage, which ends with an empty line, and then the lines of options
_miniblk_read_help() {
    local line usage= in_usage=yes

    while IFS= read -r line; do
        if [[ $in_usage && $line ]]; then
            usage+="$line "
        elif [[ $in_usage ]]; then
            in_usage=
            _miniblk_read_options "${usage#usage: * }"
        elif [[ $line == '  -'* ]]; then
            line=${line#  }
            _miniblk_read_options "${line%%  *}"
        fi
    done < <("$@" --help 2>/dev/null)
}

_miniblk_commands() {
    "${words[0]}" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# miniblk-io has no list of them: miniblk-img beside it has
_miniblk_formats() {
    local text

    text=$("${words[0]%-*}-img" --help 2>/dev/null)
    [[ $text == *'Supported formats: '* ]] && echo "${text##*Supported formats: }"
}

# Offer the options of an image in a list of them, "a=1,b=2", or the values of one of them
_miniblk_offer_image_options() {
    local command=create format=raw by=-O item=${cur##*,} names=() line i

    case ${words[1]} in
    amend) command=amend by=-f ;;
    create) by=-f ;;
    resize) _miniblk_offer_no_files; return ;;      # no command lists its options
    esac
    for ((i = 2; i < ${#words[@]} - 2; i++)); do
        [[ ${words[i]} == "$by" ]] && format=${words[i + 1]}
    done
    while IFS= read -r line; do
        [[ $line =~ ^\ \ ([^=\ ]+)=\<(.*)\>\ +-\  ]] || continue
        names+=("${BASH_REMATCH[1]}=")
        [[ $item == "${BASH_REMATCH[1]}="* ]] || continue
        _miniblk_offer_values "${cur%"$item"}${BASH_REMATCH[1]}=" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        return
    done < <("${words[0]}" "$command" -f "$format" -o help 2>/dev/null)
    _miniblk_offer "${cur%"$item"}" "${names[@]}"
}

# Offer the values of option $2, each behind $1. $3: what stands for them in --help, or in "-o help"
_miniblk_offer_values() {
    local choices=

    case "$2 $3" in
    *' fmt' | *_fmt | *' FORMAT') choices=$(_miniblk_formats) ;;
    *cache | '-t MODE' | '--cache MODE') choices='writeback writethrough none directsync killsafe unsafe' ;;
    *' aio' | '-i MODE' | '--aio MODE') choices='threads native io_uring' ;;
    '-d MODE' | '--discard MODE') choices='unmap on ignore off' ;;
    *' ofmt') choices='human json' ;;
    *' prealloc') choices='off falloc full' ;;
    *' options') _miniblk_offer_image_options; return ;;
    *'(on/off)') choices='on off' ;;
    *'|'*) choices=${3//|/ } ;;
    *' backing_file' | *' base' | *' source_file' | 'if= '* | 'of= '*) return ;;    # a file
    'backing_file '* | 'filename '* | 'path '* | 'server.path '*) return ;;
    esac
    # shellcheck disable=SC2086
    _miniblk_offer "$1" $choices
}

# Complete what comes behind the command: the value of an option, an option, or an operand "if="; else a file
_miniblk_complete() {
    local name=${cur%%=*} names=()

    if [[ $last && ${value[$last]} ]]; then
        _miniblk_offer_values '' "$last" "${value[$last]}"
    elif [[ $cur == --*=* ]]; then
        _miniblk_offer_values "$name=" "$name" "${value[$name]}"
    elif [[ $cur == *=* && ${value[$name=]} ]]; then
        _miniblk_offer_values "$name=" "$name=" "${value[$name=]}"
    elif [[ $cur == -* || ${value[if=]} ]]; then
        for name in "${!value[@]}"; do
            [[ $name == --* && ${value[$name]} ]] && name+="="
            names+=("$name")
        done
        _miniblk_offer '' "${names[@]}"
    fi
}

_miniblk_img() {
    local words cur last
    local -A value=()

    COMPREPLY=()
    _miniblk_split
    if [[ ${#words[@]} -gt 2 ]]; then
        _miniblk_read_help "${words[0]}" "${words[1]}"
        _miniblk_complete
        return
    fi
    _miniblk_read_help "${words[0]}"
    # shellcheck disable=SC2046
    _miniblk_offer '' $(_miniblk_commands) "${!value[@]}"
}

_miniblk_io() {
    local words cur last
    local -A value=()

    COMPREPLY=()
    _miniblk_split
    _miniblk_read_help "${words[0]}"
    _miniblk_complete
}

complete -o bashdefault -o default -F _miniblk_img miniblk-img
complete -o bashdefault -o default -F _miniblk_io miniblk-io
