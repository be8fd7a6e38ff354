# tally.py - count single test cases in Meson's logs, and say what was skipped and what failed
# SPDX-License-Identifier: MIT
#
# tally.py NAME=BUILD-FOLDER...: a line for each build, each skipped and each failed case, and at last
# "N passed, N failed, N skipped". A program that speaks TAP is as many cases as it reports; one that does
# not is one, and so is a program that broke off. Exit status 1 if any failed or nothing ran.
import json
import os
import re
import sys

SAMPLED = re.compile(r'one (case|test) in \d+ is .*')
CASE = re.compile(r'(not )?ok\b\s*\d*\s*-?\s*(.*)')


def tap_cases(text):
    """(verdict, name) of each case; None if the text is no TAP"""
    cases = []
    plan = None
    for line in text.splitlines():
        if re.match(r'1\.\.\d+', line):
            plan = line
        match = CASE.match(line)
        if match:
            name, _, remark = match.group(2).partition('#')
            directive = remark.strip().lower()
            if directive.startswith('skip'):
                cases.append(('skipped', f'{name.strip()}: {remark.strip()[4:].strip() or "no reason given"}'))
            else:
                cases.append(('failed' if match.group(1) and not directive.startswith('todo') else 'passed',
                              name.strip()))
    if plan and plan.startswith('1..0') and not cases:
        return [('skipped', plan.partition('#')[2].strip()[4:].strip() or 'no reason given')]
    return cases if plan is not None or cases else None


def test_cases(test):
    cases = tap_cases(test.get('stdout') or '')
    result = test['result']
    if cases is None:
        verdict = {'OK': 'passed', 'EXPECTEDFAIL': 'passed', 'SKIP': 'skipped'}.get(result, 'failed')
        return [(verdict, result.lower())]
    if result not in ('OK', 'SKIP') and not any(verdict == 'failed' for verdict, _ in cases):
        cases.append(('failed', f'the program: {result.lower()}, exit status {test.get("returncode")}'))
    return cases


def main():
    total = {'passed': 0, 'failed': 0, 'skipped': 0}
    lines = []
    for arg in sys.argv[1:]:
        build, _, folder = arg.partition('=')
        count = dict.fromkeys(total, 0)
        log = os.path.join(folder, 'meson-logs', 'testlog.json')
        tests = []
        if os.path.exists(log):
            with open(log, encoding='utf-8', errors='replace') as file:
                tests = [json.loads(line) for line in file if line.strip()]
        else:
            count['failed'] = 1
            lines.append(f'FAILED  {build}: it was not built, or no test ran')
        for test in tests:
            name = test['name'].split(' / ')[-1].strip()
            left_out = {}
            for verdict, text in test_cases(test):
                count[verdict] += 1
                if verdict == 'skipped' and SAMPLED.search(text):
                    reason = SAMPLED.search(text).group()
                    left_out[reason] = left_out.get(reason, 0) + 1
                elif verdict == 'skipped':
                    lines.append(f'skipped {build}: {name}: {text}')
                elif verdict == 'failed':
                    lines.append(f'FAILED  {build}: {name}: {text}\n'
                                 f'        again: meson test -C {folder} --print-errorlogs {name}')
            lines += [f'skipped {build}: {name}: {n} cases: {reason}' for reason, n in left_out.items()]
        print(f'{build:6} {len(tests):3} programs: {count["passed"]} passed, {count["failed"]} failed, '
              f'{count["skipped"]} skipped')
        for key in total:
            total[key] += count[key]
    print('\n'.join(lines), end='\n' if lines else '')
    print('{passed} passed, {failed} failed, {skipped} skipped'.format(**total))
    return 1 if total['failed'] or not total['passed'] else 0


sys.exit(main())
