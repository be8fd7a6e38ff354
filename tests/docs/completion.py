# completion.py - what bash completes is what the programs take, in a real bash
# SPDX-License-Identifier: MIT
#
# completion.py SOURCE-FOLDER options miniblk-img miniblk-io
#
# The completion asks --help. So this compares it with the tables behind --help: those of getopt() in tools/, the
# drivers' tables, and the library's cache modes.
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile

SOURCE, OPTIONS, IMG, IO = sys.argv[1:5]
SCRIPT = f'{SOURCE}/tools/completion.bash'
NOWHERE = {'object', 'trace', 'skip-broken-bitmaps'}        # options that are refused, or do nothing: --help has none
FILES = 'a file'
count = 0

# Of each line of words: what is offered, and FILES if file names are
ASK = r'''
source "$1"
compopt() { [[ $1 == +o ]] && files=; }
while IFS=$'\t' read -ra COMP_WORDS; do
    COMP_WORDS=("${COMP_WORDS[@]#.}") COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) files=$'\ta file'
    [[ ${COMP_WORDS[0]} == *-io ]] && _miniblk_io || _miniblk_img
    printf '%s\t' "${COMPREPLY[@]}"
    echo "$files"
done
'''


def check(name, problems):
    global count
    count += 1
    print(f'{"not " if problems else ""}ok {count} - {name}', *(f'# {problem}' for problem in problems), sep='\n')


def same(name, found, expected):
    check(name, [f'missing: {item}' for item in sorted(expected - found, key=str)] +
          [f'should not be there: {item}' for item in sorted(found - expected, key=str)] +
          ([] if expected else ['nothing to compare with']))


def read(path):
    return pathlib.Path(SOURCE, path).read_text(encoding='utf-8')


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def ask_all(lines):
    """Sets of what is offered, for each of the command lines. They end where the cursor is"""
    rows = ['\t'.join('.' + word for word in re.findall(r'[=:]+|[^=: ]+|(?<= )$', line)) for line in lines]
    text = subprocess.run(['bash', '--norc', '--noprofile', '-c', ASK, 'ask', SCRIPT], input='\n'.join(rows) + '\n',
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    answers = [{word for word in row.split('\t') if word} for row in text.splitlines()]
    assert len(answers) == len(lines), text
    return answers


def ask(line):
    return ask_all([line])[0]


def getopt_tables():
    """{command: {meaning: {spelling: has a value}}}, of the calls of img_getopt() in tools/"""
    macros = dict(re.findall(r'#define (IMG_\w+_OPTIONS?) (.*)', read('tools/img-args.h')))
    found = {}
    for path in sorted(pathlib.Path(SOURCE, 'tools').glob('img-*.c')):
        names = {'img-unsupported.c': ['bitmap', 'snapshot']}.get(path.name, [path.name.split('-')[1].split('.')[0]])
        parts = re.findall(r'long_options\[\] = \{(.*?)\n    \};.*?'
                           r'img_getopt\(argc, argv, (?:tool_is_qemu \? "[^"]*" : )?"([^"]*)"', path.read_text(), re.S)
        for name, (longs, letters) in zip(names, parts):
            for _ in macros:
                longs = re.sub(r'IMG_\w+_OPTIONS?\b', lambda match: macros[match.group()], longs)
            meanings = {}
            for letter, colon in re.findall(r'(\w)(:?)', letters):
                meanings.setdefault(f"'{letter}'", {})['-' + letter] = bool(colon)
            for word, value, meaning in re.findall(r'\{ "([\w-]+)", (\d), NULL, ([^}]*?) \}', longs):
                if word not in NOWHERE:
                    meanings.setdefault(meaning, {})['--' + word] = value == '1'
            found[name] = meanings
    return found


def io_getopt_tables():
    source = read('tools/io.c')
    meanings = {}
    for letter, colon in re.findall(r'(\w)(:?)', re.search(r'getopt_long\(argc, argv, "(.*?)"', source).group(1)):
        if letter != 'T':
            meanings.setdefault(f"'{letter}'", {})['-' + letter] = bool(colon)
    for word, value, meaning in re.findall(r'\{ "([\w-]+)", +(\w+), +NULL, (.*?) \}', source):
        if word not in NOWHERE:
            meanings.setdefault(meaning, {})['--' + word] = value == 'required_argument'
    return meanings


def compare_options(program, meanings, offered):
    """Each option that is offered is taken, with "=" if it takes a value; and each meaning has one that is offered"""
    taken = {word + '=' * (value and word.startswith('--'))
             for words in meanings.values() for word, value in words.items()}
    problems = [f'{program}: offers {word}, which it does not take' for word in sorted(offered - taken)]
    for words in meanings.values():
        if not {word.rstrip('=') for word in offered} & set(words):
            problems.append(f'{program}: does not offer {" or ".join(sorted(words))}')
    return problems if meanings else [f'{program}: no table found']


def table_options(driver, when):
    """{name: values, or None if any text can be one}"""
    rows = [line.split('\t') for line in output(OPTIONS).splitlines()]
    words = [row[2].split('=') for row in rows if row[:2] == [driver, when]]
    return {name: set(values.split('|')) if '|' in values else None for name, values in words}


def listed(path, pattern):
    """The words in quotes of a table in the source"""
    return set(re.findall(r'"(\w+)"', re.search(pattern, read(path), re.S).group(1)))


def drivers():
    return {line.split('\t')[0] for line in output(OPTIONS).splitlines()}


# What is offered for a word that stands for a value in --help. An empty set: nothing, not even a file
VALUES = {
    **dict.fromkeys(['fmt', 'backing_fmt', 'output_fmt', 'source_fmt', 'FORMAT'], drivers()),
    **dict.fromkeys(['cache', 'src_cache', '-t MODE', '--cache MODE'],
                    listed('block/tree.c', r'modes\[\] = \{(.*?)\n    \};') - {'off'}),
    **dict.fromkeys(['aio', '-i MODE', '--aio MODE'], listed('tools/common.c', r'modes\[\] = \{(.*?)\}')),
    **dict.fromkeys(['-d MODE', '--discard MODE'], {'unmap', 'on', 'ignore', 'off'}),
    'prealloc': listed('tools/img-resize.c', r'modes\[\] = \{(.*?)\}') - {'metadata'},
    'ofmt': {'human', 'json'},
    'leaks|all': {'leaks', 'all'},
    **dict.fromkeys(['backing_file', 'base', 'source_file'], {FILES}),
    **dict.fromkeys(['COMMAND', 'N', 'SOURCE', 'buffer_size', 'count', 'depth', 'flush_interval', 'granularity', 'len',
                     'n', 'num_workers', 'offset', 'pattern', 'rate_limit', 'snapshot', 'snapshot_param',
                     'sparse_size', 'step_size'], set()),
}


def values_of(page):
    """(option, the word for its value) in a page of --help; the usage first"""
    usage, *rest = page.split('\n\n')
    rows = [match.group(1) for match in re.finditer(r'^  (-.*?)(?:  .*)?$', '\n'.join(rest), re.M)]
    text = ' '.join(usage.split()) + '\n' + '\n'.join(rows)
    found = {}
    for option, word in re.findall(r'(?<![\w-])(--?[A-Za-z][\w-]*)(?:=| )([A-Za-z]\w*(?:\|\w+)*)', text):
        found.setdefault(option, word)
    return found.items()


def compare_values(program, start, page):
    problems = []
    pairs = [pair for pair in values_of(page) if pair[1] != 'options']
    for (option, word), answer in zip(pairs, ask_all([f'{program} {start}{option} ' for option, _ in pairs])):
        expected = VALUES.get(f'{option} {word}', VALUES.get(word))
        if expected is None:
            problems.append(f'{start}{option}: this test does not know what can stand for {word}')
        elif answer != expected:
            problems.append(f'{start}{option} {word}: {sorted(answer)}, should be {sorted(expected)}')
    return problems if pairs else [f'{start}: no option has a value']


def compare_image_options(line, driver, when):
    """The names behind -o, and the values of those that have a few"""
    table = table_options(driver, when)
    problems = [] if table else ['no table found']
    found = ask(line)
    if found != {name + '=' for name in table}:
        problems.append(f'{line}: {sorted(found)}, should be {sorted(table)}')
    for name, values in table.items():
        found = ask(f'{line}size=1M,{name}=')
        if values and found != values:
            problems.append(f'{name}: {sorted(found)}, should be {sorted(values)}')
    return problems


def typed(keys, folder):
    """What an interactive bash prints when these keys are typed"""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update(PS1='$ ', TERM='dumb', INPUTRC='/dev/null', HISTFILE='/dev/null',
                          PATH=f'{os.path.dirname(IMG)}:{os.environ["PATH"]}')
        os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])
    todo, text = [f'source {SCRIPT}; echo rea""dy\n', keys + '\nexit\n'], ''
    os.write(terminal, todo.pop(0).encode())
    while select.select([terminal], [], [], 20)[0]:
        try:
            text += os.read(terminal, 4096).decode(errors='replace')
        except OSError:             # bash has ended
            break
        if todo and re.search(r'ready\s+\$ ', text):
            os.write(terminal, todo.pop().encode())
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    os.waitpid(pid, 0)
    return text


def keys_work():
    home = '\x01'
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, 'disk of mine.vhd').touch()
        text = typed(f'miniblk-img cre\t-f vp\t-o subf\tfi\tdis\t{home}echo ', folder)
    wanted = 'miniblk-img create -f vpc -o subformat=fixed disk of mine.vhd'
    return [] if wanted in text else [f'not there: {wanted}'] + text.splitlines()


commands = getopt_tables()
pages = {name: output(IMG, name, '--help') for name in commands}
same('the commands', {word for word in ask(f'{IMG} ') if not word.startswith('-')},
     set(re.findall(r'\{ "(\w+)", img_\w+ \}', read('tools/img.c'))))
same('the options before the command', ask(f'{IMG} -'), {'-h', '--help', '-V', '--version'})
check('the options of each command are those that it takes',
      [problem for name, answer in zip(commands, ask_all([f'{IMG} {name} -' for name in commands]))
       for problem in compare_options(name, commands[name], answer)])
check('values of the options of each command',
      [problem for name, page in pages.items() for problem in compare_values(IMG, f'{name} ', page)])
same('miniblk-img --output=', ask(f'{IMG} info --output='), {'human', 'json'})
same('miniblk-img dd', {word for word in ask(f'{IMG} dd ') if not word.startswith('-')},
     {f'{word}=' for word in listed('tools/img-dd.c', r'(.*)') & {'bs', 'count', 'skip', 'if', 'of'}})
same('miniblk-img dd if=', ask(f'{IMG} dd if='), {FILES})
check('options of a new image', compare_image_options(f'{IMG} create -f vpc -o ', 'vpc', 'create'))
check('those of a converted one', compare_image_options(f'{IMG} convert -f raw -O vpc -o ', 'vpc', 'create'))
check('without a format they are those of raw', compare_image_options(f'{IMG} measure -o ', 'raw', 'create'))
check('options to change', compare_image_options(f'{IMG} amend -f vpc -o ', 'vpc', 'amend'))
same('the second of several, begun', ask(f'{IMG} create -f vpc -o size=1M,subf'), {'1M,subformat='})
same('an image is a file', ask(f'{IMG} info '), {FILES})
same('also one with a "=" in its name', ask(f'{IMG} info a='), {FILES})
check('the options of miniblk-io are those that it takes',
      compare_options('miniblk-io', io_getopt_tables(), ask(f'{IO} -')))
check('values of the options of miniblk-io', compare_values(IO, '', output(IO, '--help')))
same('miniblk-io --cache=', ask(f'{IO} --cache=w'), {'writeback', 'writethrough'})
check('typed with the tabulator key, a command line is completed', keys_work())
print(f'1..{count}')
