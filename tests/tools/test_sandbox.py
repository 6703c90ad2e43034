"Foreign code runs in a process of its own: it cannot hang, fill or litter anything, and nothing of it is left."

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from conftest import run_python
from processes import gone, runs
from mnist_kit.tools.sandbox import end_with_parent, run_apart

linux = pytest.mark.skipif(sys.platform != 'linux', reason='asks /proc')


def test_a_copy_that_it_makes_of_itself_ends_where_it_would_note_something_and_an_exception_is_printed():
    out = run_apart('import os; os.fork(); note(dict(a=7)); print("é")')
    assert (out.notes, out.ended, out.status, out.printed) == ([dict(a=7)], 'whole', 0, 2)
    out = run_apart('raise SystemExit(0)')
    assert (out.ended, out.status) == ('early', 1) and out.printed > 20


def test_notes_are_heard_while_it_runs():
    heard = []
    run_apart('import time; note(dict(a=1)); time.sleep(1.5); note(dict(a=2))', heard=lambda o: heard.append(list(o)))
    assert [dict(a=1)] in heard and heard[-1][:2] == [dict(a=1), dict(a=2)]


def test_it_works_in_an_empty_folder_and_finds_no_file_of_ours(tmp_path, monkeypatch):
    (tmp_path / 'json.py').write_text('1/0')
    monkeypatch.chdir(tmp_path)
    code = 'import os, sys; note(dict(files=os.listdir(), path="" in sys.path)); open("mine", "w").close()'
    for _ in range(2):
        assert run_apart(code).notes == [dict(files=[], path=False)]
    assert [o.name for o in tmp_path.iterdir()] == ['json.py']


@linux
@pytest.mark.parametrize('then, ended', [('', 'whole'), ('\nwhile True: pass', 'time')], ids=['works', 'loops'])
def test_what_it_has_started_ends_with_it_and_what_has_left_for_a_session_of_its_own_too(then, ended):
    code = """
import os, subprocess
for o in ([], ["setsid", "-w"]): note(dict(pid=subprocess.Popen([*o, "sleep", "300"]).pid))
if not os.fork():
    os.setsid()
    if os.fork(): os._exit(0)
    open('pid', 'w').write(str(os.getpid()))
    os.rename('pid', '../tmp/orphan')
    while True: pass
while not os.path.exists('../tmp/orphan'): pass
note(dict(pid=int(open('../tmp/orphan').read())))
"""
    out = run_apart(code + then, timeout=2)
    assert out.ended == ended and len(out.notes) == 3
    assert all(gone(o['pid']) for o in out.notes)


JUNK = """
lines = ['"' + 'x' * 10_000_000 + '"', '{"a":' * 10_000, '9' * 60_000]
with open(path, 'ab') as f: f.write('\\n'.join([*lines, '']).encode() + bytes(range(256)) + b'\\n')"""


ANSWER = """
for i in range(3, 99):
    try: os.write(i, b'0 7\\n')
    except OSError: pass
import time; time.sleep(1)"""


@pytest.mark.parametrize('junk', [JUNK, 'os.remove(path); os.mkfifo(path)', 'os.remove(path); os.mkdir(path)', ANSWER])
def test_junk_among_the_notes_or_in_their_place_is_passed_over(junk):
    out = run_apart(f'note(dict(a=7))\nimport os\npath = "../notes.jsonl"\n{junk}')
    assert (out.notes, out.ended) == ([dict(a=7)], 'whole')


ENVIRONMENTS = """
import os, sys, tempfile
from pathlib import Path
above = lambda pid: int(Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])
started = ('self', above('self')) if sys.platform == 'linux' else ()
texts = [Path(f'/proc/{o}/environ').read_text() for o in started]
note(dict(env=dict(os.environ), tmp=tempfile.gettempdir(), started=texts))"""


def test_it_sees_no_secret_and_no_home_nor_does_the_one_that_imports(monkeypatch):
    monkeypatch.setenv('A_TOKEN', 'secret')
    monkeypatch.setenv('MNIST_KIT_DATA', '/data')
    (found,) = run_apart(ENVIRONMENTS, env=dict(MORE='1')).notes
    assert not {'A_TOKEN', 'MNIST_KIT_DATA'} & set(found['env']) and 'secret' not in str(found)
    assert all('PATH=' in o for o in found['started'])
    assert found['env']['PATH'] == os.environ['PATH'] and found['env']['MORE'] == '1'
    assert found['env']['HOME'] != os.environ.get('HOME') and found['tmp'] == found['env']['TMPDIR']
    assert not Path(found['tmp']).exists(), 'it is gone with the process'


FROM = """
from pathlib import Path
above = lambda pid: int(Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])
server = above('self')
note(dict(server=server, marked=getattr(decimal, 'mark', 0)))
decimal.mark = 1"""


@linux
def test_imports_are_done_once_and_nobody_finds_what_another_one_has_changed():
    notes = [run_apart(FROM, first='import decimal').notes[0] for _ in range(3)]
    assert len({o['server'] for o in notes}) == 1 and {o['marked'] for o in notes} == {0}
    assert run_apart(FROM, first='import decimal, fractions').notes[0]['server'] != notes[0]['server']


@linux
def test_one_that_ends_what_it_comes_from_does_not_stop_the_next():
    out = run_apart(FROM + '\nimport os; os.kill(server, 9)\nwhile True: pass', first='import decimal', timeout=20)
    assert out.ended == 'early' and gone(out.notes[0]['server'])
    after = run_apart(FROM, first='import decimal')
    assert after.ended == 'whole' and after.notes[0]['server'] != out.notes[0]['server']


def test_imports_that_fail_are_an_early_end():
    for _ in range(2):
        out = run_apart('note(dict(a=1))', first='import no_such_module')
        assert (out.ended, out.status, out.notes) == ('early', 1, []) and out.printed > 20


def test_the_limit_of_time_can_be_set_while_it_runs():
    out = run_apart('import time; note(dict(a=1)); time.sleep(60)', timeout=300, heard=lambda o: 2 if o else None)
    assert (out.ended, out.notes) == ('time', [dict(a=1)]) and out.seconds < 30


STARTS = """
from mnist_kit.tools.sandbox import run_apart
if __name__ == '__main__':
    code = 'import os, time; note(dict(pid=os.getpid())); time.sleep(300)'
    run_apart(code, heard=lambda notes: notes and print(notes[0]['pid'], flush=True))
"""


@linux
def test_it_ends_when_the_one_that_started_it_is_killed(tmp_path):
    (tmp_path / 'starts.py').write_text(STARTS)
    p = subprocess.Popen([sys.executable, str(tmp_path / 'starts.py')], stdout=subprocess.PIPE, text=True)
    pid = int(p.stdout.readline())
    assert runs(pid)
    p.kill()
    p.communicate()
    assert gone(pid)


def test_ctrl_c_is_left_to_the_parent():
    with get_context('spawn').Pool(1, end_with_parent) as pool:
        pid = pool.apply(os.getpid)
        os.kill(pid, signal.SIGINT)
        assert pool.apply_async(os.getpid).get(60) == pid, 'it goes on'


def test_it_knows_no_rules_and_does_not_wait_for_torch():
    code = """
import sys, mnist_kit.tools.grade, mnist_kit.tools.sandbox, mnist_kit.tools.cli
from mnist_kit.tools.findings import expected_findings
print(len(expected_findings()) > 10, [o for o in ('torch', 'fastai', 'mnist_kit.tools.rules') if o in sys.modules])"""
    p = run_python('-c', code)
    assert p.stdout.strip() == 'True []', p.stderr
