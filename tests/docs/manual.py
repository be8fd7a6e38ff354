# manual.py - what the manuals and the README say is what the programs do, and the other way round
# SPDX-License-Identifier: MIT
#
# manual.py SOURCE-FOLDER options miniblk-img miniblk-io
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE, OPTIONS, IMG, IO = sys.argv[1:5]
count = 0


def check(name, here, there, here_is, there_is):
    """One case: two sets are the same"""
    global count
    count += 1
    problems = [f'only {here_is}: {item}' for item in sorted(here - there, key=str)]
    problems += [f'only {there_is}: {item}' for item in sorted(there - here, key=str)]
    if not here and not there:
        problems = ['nothing found on either side']
    print(f'{"not " if problems else ""}ok {count} - {name}')
    for problem in problems:
        print(f'# {problem}')


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def read(path):
    with open(f'{SOURCE}/{path}', encoding='utf-8') as file:
        return file.read()


def plain(line):
    """A line of man without its macro and its escapes; the parts of .BI and the like have no space between them"""
    macro = re.match(r'\.(B|I|BI|IB|BR|RB|IR|RI) (.*)', line)
    if macro:
        words = re.findall(r'"[^"]*"|\S+', macro.group(2))
        line = ('' if len(macro.group(1)) == 2 else ' ').join(word.strip('"') for word in words)
    return re.sub(r'\\f.|\\&', '', line).replace(r'\-', '-').replace(r'\(aq', "'")


def sections(path):
    """{'.SH NAME / .SS NAME': [lines]}"""
    found, head, sub = {}, '', ''
    for line in read(path).splitlines():
        if line.startswith('.SH '):
            head, sub = line[4:].strip('"'), ''
        elif line.startswith('.SS '):
            sub = plain(line[4:].strip('"'))
        else:
            found.setdefault((head, sub), []).append(line)
    return found


def tagged(lines):
    """(tag, text) of each .TP"""
    for i, line in enumerate(lines):
        if line == '.TP':
            text = []
            for more in lines[i + 2:]:
                if re.match(r'\.(TP|PP|SH|SS|nf|RE|RS)', more):
                    break
                text.append(plain(more))
            yield plain(lines[i + 1]), ' '.join(text)


def is_built_in(name):
    """A driver may have been left out"""
    return name != 'nbd' or any(row[0] == name for row in table_options())


def manual_options():
    """As options.c prints them"""
    found = set()
    for (head, sub), lines in sections('docs/man/miniblk-drivers.7').items():
        if head != 'DRIVERS' or not sub:
            continue
        name, _, alias = sub.partition(', ')
        if not is_built_in(name):
            continue
        found.add((name, 'driver', alias, ''))
        when = ''
        for line in '\n'.join(lines).split('\n.PP\n'):
            if 'To open' in line[:20]:
                when = 'open'
            elif 'To create' in line[:20]:
                when = 'create'
            elif 'To amend' in line[:20]:
                when = 'amend'
            elif 'To resize' in line[:20]:
                when = 'resize'
            for tag, text in tagged(line.split('\n')):
                default = re.search(r'\(default:? ([^)]*)\)', text)
                needed = 'required' if '(required)' in text else f'default {default.group(1)}' if default else ''
                found.add((name, when, tag, needed))
    return found


def table_options():
    return {tuple(line.split('\t')) for line in output(OPTIONS).splitlines()}


def expand(name, when, option, table):
    """`server.*` in README.md stands for all options that begin so, unless an option has this very name"""
    ours = {word.split('=')[0] for driver, at, word, _ in table if (driver, at) == (name, when)}
    if option in ours or not option.endswith('.*'):
        return {option}
    return {word for word in ours if word.startswith(option[:-1])} or {option}


def readme_options():
    """Of the table in README.md: | `name` (`alias`) | what | `open options` | `create options` |"""
    found, table = set(), table_options()
    for line in read('README.md').splitlines():
        cells = [cell.strip() for cell in line.split('|')]
        if len(cells) == 6 and cells[1].startswith('`'):
            names = re.findall(r'`([^`]*)`', cells[1])
            if not is_built_in(names[0]):
                continue
            for when, cell in (('open', cells[3]), ('create', cells[4])):
                for option in re.findall(r'`([^`]*)`', cell):
                    found |= {(names[0], when, word) for word in expand(names[0], when, option, table)}
            found.add((names[0], 'driver', names[1] if len(names) > 1 else ''))
    return found


def node_options():
    table = re.search(r'node_options\[\] = \{(.*?)\n\};', read('block/tree.c'), re.S).group(1)
    return set(re.findall(r'\{ "([^"]+)"', table))


def manual_tags(path, head):
    found = set()
    for (section, _), lines in sections(path).items():
        if section == head:
            found |= {tag for tag, _ in tagged(lines)}
    return found


def warning_codes():
    """Those of the library's warnings that check does not have"""
    source = ''.join(path.read_text() for path in pathlib.Path(SOURCE, 'block').rglob('*.c'))
    return set(re.findall(r'(?:bdrv_warn\([\w>.()-]+, |code = )"([^"]+)"', source)) - {row[0] for row in check_table()}


def manual_codes():
    return {word for tag in manual_tags('docs/man/miniblk-drivers.7', 'WARNINGS') for word in tag.split(', ')} - {
        row[0] for row in check_table()}


def header_codes():
    """Of BlockWarningKind, if each has the name that its code would give it"""
    kinds = re.findall(r'BDRV_WARNING_(\w+), +/\* "(\w+)":', read('include/miniblk/block.h'))
    return {code if code.upper() == name else f'BDRV_WARNING_{name} is not "{code}"' for name, code in kinds}


def library_words():
    """The words in block/notes.c, as header_codes()"""
    kinds = re.findall(r'\[BDRV_WARNING_(\w+)\] = "(\w+)"', read('block/notes.c'))
    return {code if code.upper() == name else f'BDRV_WARNING_{name} is not "{code}"' for name, code in kinds}


def img_pages():
    """What --help of each command says, by its name"""
    names = re.findall(r'^  ([a-z]+) ', output(IMG, '--help').split('Commands:')[1].split('\n\n')[0], re.M)
    return {name: output(IMG, name, '--help') for name in names}


def img_usage():
    return {' '.join(page.split('\n\n')[0].split()[2:]) for page in img_pages().values()}


def is_page(name, page):
    usage, line, *rest = page.split('\n\n')
    rest = '\n\n'.join(rest)
    missing = option_words(usage) - option_words(rest)
    return (not missing and line.endswith('.') and max(map(len, page.splitlines())) < 80 and f'miniblk-img {name}' in usage
            and (f'miniblk-img {name} ' in rest or name in ('bitmap', 'snapshot')))


def manual_img_usage():
    """The lines between .nf and .fi of each command"""
    found = set()
    for (head, sub), lines in sections('docs/man/miniblk-img.1').items():
        if head == 'COMMANDS' and sub:
            text = '\n'.join(lines)
            usage = re.search(r'\.nf\n(.*?)\n\.fi', text, re.S)
            found.add(' '.join(plain(line).strip() for line in usage.group(1).splitlines()) if usage else sub)
    return found


def option_words(text):
    return set(re.findall(r'(?<![\w-])--?[A-Za-z][\w-]*', text))


def manual_option_words(path, head):
    return set().union(*(option_words(tag) for tag in manual_tags(path, head)))


def io_commands():
    return {line.split(' -- ')[0] for line in output(IO, '-c', 'help').splitlines() if ' -- ' in line}


def library_functions():
    """The list that source.sh compares with the library and with the headers"""
    return set(read('tests/docs/exported.list').split())


def manual_functions():
    """Those that miniblk(3) names, as name()"""
    text = ' '.join(plain(line) for line in read('docs/man/miniblk.3').splitlines() if line.startswith('.BR '))
    return set(re.findall(r'\b((?:bdrv|block)_\w+) ?\(\)', text))


def manual_flags():
    return {word for lines in sections('docs/man/miniblk.3').values() for line in lines
            for word in re.findall(r'\bBDRV_(?:O|REQ)_\w+', line)}


def header_flags():
    return set(re.findall(r'^ +(BDRV_(?:O|REQ)_\w+) += 1 <<', read('include/miniblk/block.h'), re.M))


def described_vector():
    """The footer in docs/VHD.md, as (place, byte)"""
    block = re.search(r'## A vector.*?```\n(.*?)```', read('docs/VHD.md'), re.S).group(1)
    return set(enumerate(block.split()))


def made_vector():
    """The same from the command that is given there"""
    options = re.search(r'miniblk-img create -f vpc -o (\S+) a.vhd 8M', read('docs/VHD.md')).group(1)
    with tempfile.TemporaryDirectory() as folder:
        output(IMG, 'create', '-q', '-f', 'vpc', '-o', options, f'{folder}/a.vhd', '8M')
        with open(f'{folder}/a.vhd', 'rb') as file:
            footer = file.read()[-512:]
    return {(i, f'{byte:02x}') for i, byte in enumerate(footer[:len(described_vector())])}


def check_table():
    return {tuple(line.split('\t')) for line in output(OPTIONS, 'checks').splitlines()}


def manual_checks():
    """.TP, "B3, corruption, -r all", the name, and what repair does behind a full stop"""
    found = set()
    for tag, text in tagged(sections('docs/man/miniblk-drivers.7')[('CHECKS OF A VHD', '')]):
        code, level, fix = (tag + ', no').split(', ')[:3]
        found.add((code, level, fix.replace('-r ', ''), text.split('.')[0].strip()))
    return found


def described_checks():
    """Of the table in docs/VHD.md: | code | class | repaired by -r | what is wrong | what is done |"""
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in read('docs/VHD.md').splitlines()
            if re.match(r'\| [A-Z][0-9]? \| (note|leak|corruption) ', line)]
    return {(code, level, fix, what) for code, level, fix, what, _ in rows}


img_words = set().union(*(option_words(line) for line in img_usage())) | {'-h', '--help', '-V', '--version', '--force-share'}
node_names = {tag.split('=')[0] for tag in manual_tags('docs/man/miniblk-drivers.7', 'EVERY NODE')} - {'driver'}
io_help = re.findall(r'^  (-.*?)(?:  |$)', output(IO, '--help'), re.M)

check('miniblk-drivers(7) has the option tables', manual_options(), table_options(), 'in the manual', 'in the table')
check('miniblk-drivers(7) has the options of every node', node_names, node_options(), 'in the manual', 'in the table')
check('README.md has the option tables', readme_options(),
      {(name, when, word.split('=')[0]) for name, when, word, _ in table_options() if when not in ('amend', 'resize')},
      'in README.md', 'in the table')
check('miniblk-img(1) has the commands and their usage', manual_img_usage(), img_usage(), 'in the manual', 'in --help')
check('a page of help is about its command, has all its options and an example, and no line over 80',
      {name for name, page in img_pages().items() if is_page(name, page)}, set(img_pages()), 'good', 'in --help')
check('miniblk-img(1) explains every option', manual_option_words('docs/man/miniblk-img.1', 'OPTIONS'), img_words,
      'in the manual', 'in --help')
check('miniblk-io(1) has the commands and their usage', manual_tags('docs/man/miniblk-io.1', 'COMMANDS'), io_commands(),
      'in the manual', 'in help')
check('miniblk-io(1) explains every option', manual_option_words('docs/man/miniblk-io.1', 'OPTIONS'),
      set().union(*(option_words(line) for line in io_help)), 'in the manual', 'in --help')
check('miniblk(3) names every function of the library', manual_functions(), library_functions(), 'in the manual',
      'in exported.list')
check('miniblk(3) names every flag to open an image and of a request', manual_flags(), header_flags(), 'in the manual',
      'in block.h')
check('miniblk-drivers(7) has what is checked', manual_checks(), check_table(), 'in the manual', 'in the table')
check('miniblk-drivers(7) has the codes of warnings', manual_codes(), warning_codes(), 'in the manual', 'in block/')
check('block.h has a kind for each code', header_codes(), warning_codes(), 'in block.h', 'in block/')
check('each kind in block.h has its word', header_codes(), library_words(), 'in block.h', 'in block/notes.c')
check('docs/VHD.md has what is checked', described_checks(), check_table(), 'in VHD.md', 'in the table')
check('the footer in docs/VHD.md is what miniblk-img makes', described_vector(), made_vector(), 'in VHD.md', 'in the image')
print(f'1..{count}')
