#!/usr/bin/env python3
"""Weir under load, side by side with others, in one run: `./dev bench load`.

Takes a folder with a load generator and reference servers (wsload/, prototype/, limit/, peers/, run.py; see
docs/benchmarks.md, "The load generator"), copies it to build/load, builds what is in it, adds this hub, and runs the
scenarios with all peers taking turns. Prints CPU time per delivery and what it is of the reference's in the same round:
a machine that is busy slows all of them, so ratios hold where times do not.
"""
import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOAD = os.path.join(ROOT, 'build', 'load')
OUT = os.path.join(LOAD, 'build')
BINARY = os.path.join(ROOT, 'build', 'release', 'bin', 'weir')
REFERENCE = 'coalescing Beast'
LARGE = 'coalescing Beast (frames as large)'
ENVELOPE = 168  # bytes by which an event of weir.v1 is larger than the reference's message: id, epoch, number, time
PEERS = [REFERENCE, 'weir', 'naive Beast', 'nchan', 'nats-server']

FANOUT = ['fan-1000-128-w1', 'fan-1000-128-w16', 'fan-1000-128-w64', 'fan-1000-1k-w16', 'ch100x10-128-w16',
          'pubs-200-fan-100', 'fan-10000-128-w4', 'pubs-500-ch500-own']
SCENARIOS = FANOUT + ['deflate-1000-1k-w16', 'rate-200-fan-50', 'http-fan-1000-w4', 'idle-19000', 'idle-2000-deflate',
                      'slow', 'storm-2000']
ALONE = ['stalled', 'heartbeat', 'instructions', 'limit']  # of this hub only, and what the kernel takes

MANIFEST = """listen = "127.0.0.1:9018"
threads = {threads}
[[endpoint]]
path = "/ws"
compression = {compression}
[[channel]]
pattern = "**"
{history}
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit('bench: ' + text)


def find_load_generator(given):
    beside = sorted(glob.glob(os.path.join(ROOT, '..', '*', 'bench')))
    for folder in [given] if given else [os.environ.get('WEIR_LOADGEN', ''), *beside]:
        if folder and os.path.exists(os.path.join(folder, 'run.py')) and os.path.isdir(os.path.join(folder, 'wsload')):
            return os.path.abspath(folder)
    fail('no load generator' + (f' in {given}' if given else '') +
         '; name the folder with --loadgen or WEIR_LOADGEN (docs/benchmarks.md, "The load generator")')


def run_quietly(words, command, **more):
    say(f'  {words}')
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        fail(f'{words} failed: {" ".join(command)}\n{(done.stdout + done.stderr)[-3000:]}')


def prepare(source):
    shutil.copytree(source, LOAD, dirs_exist_ok=True, ignore=shutil.ignore_patterns('build', 'results*'))
    os.makedirs(OUT, exist_ok=True)
    run_quietly('building the load generator', ['cmake', '-S', os.path.join(LOAD, 'wsload'), '-B', OUT, '-G', 'Ninja'])
    run_quietly('building the load generator', ['cmake', '--build', OUT])
    for name in ['coalescing_beast', 'naive_beast']:
        made, text = os.path.join(OUT, name), os.path.join(LOAD, 'prototype', name + '.cpp')
        if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(text):
            run_quietly(f'building {name}', ['g++', '-std=c++20', '-O3', '-march=native', text, '-o', made, '-lz'])
    with open(os.path.join(LOAD, 'peers.json')) as file:
        peers = json.load(file)
    short = 'history = { count = 4 }'
    for threads, compression, history, name in [(1, 'false', '', 'hub'), (1, 'true', '', 'hub-deflate'), (2, 'false', '', 'hub-2'),
                                                (1, 'false', short, 'hub-short')]:
        with open(os.path.join(OUT, name + '.toml'), 'w') as file:
            file.write(MANIFEST.format(threads=threads, compression=compression, history=history))
    hub = {'port': 9018, 'http': True, 'profile': 'wsload/profiles/weir.ini', 'deflate': {'HUB': 'hub-deflate'}}
    starter = os.path.join(OUT, 'weir.sh')
    with open(starter, 'w') as file:
        file.write(f'#!/bin/sh\nexec {BINARY} run {OUT}/${{HUB:-hub}}.toml --log-level warn\n')
    os.chmod(starter, 0o755)
    peers['weir'] = {'start': [starter], **hub}
    peers['weir (2 threads)'] = {'start': [starter], **hub, 'env': {'HUB': 'hub-2'}, 'deflate': {}}
    peers['weir (short history)'] = {'start': [starter], **hub, 'env': {'HUB': 'hub-short'}, 'deflate': {}}
    # The reference with filler beside the payload, so that both put the same number of bytes on the wire.
    with open(os.path.join(LOAD, peers[REFERENCE]['profile'])) as file:
        profile = file.read()
    large = os.path.join(OUT, 'large.ini')
    with open(large, 'w') as file:
        file.write(profile.replace('"data":"{payload}', '"data":"{payload}' + 'x' * ENVELOPE))
    peers[LARGE] = {**peers[REFERENCE], 'profile': large}
    chosen = os.path.join(OUT, 'peers.json')
    with open(chosen, 'w') as file:
        json.dump(peers, file)
    return chosen, peers


class Hub:
    """This hub for as long as the block lasts, perhaps under a tool; `port` is that of the manifests."""

    def __init__(self, before=()):
        self.process = subprocess.Popen([*before, BINARY, 'run', os.path.join(OUT, 'hub.toml'), '--log-level', 'warn'],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        if not self.process.stdout.readline().startswith('weir ready'):
            fail('the hub did not start: ' + ' '.join(self.process.args))
        return self

    def __exit__(self, *ignored):
        self.process.terminate()
        self.process.wait(60)

    def load(self, arguments):
        done = subprocess.run([os.path.join(OUT, 'wsload'), *arguments.split(), '--profile', os.path.join(LOAD, 'wsload/profiles/weir.ini'),
                               '--port', '9018', '--server-pid', str(self.process.pid), '--json'], capture_output=True, text=True)
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else fail(f'wsload {arguments}: {done.stderr[-500:]}')


def stalled(rounds):
    """Whether ten readers that stop reading change anything for ninety others, or for the process."""
    print('\n## Ten of a hundred readers stop for good: 300 events/s of 8 KiB for 8 s (medians)\n\n'
          '| | lost | p50 us | p99 us | MiB before | MiB at most | came to the ten when they read again |\n|---|---:|---:|---:|---:|---:|---:|')
    names = ['lost', 'latency_p50_us', 'latency_p99_us', 'server_rss_before_mb', 'server_peak_rss_mb', 'slow_deliveries_when_read_again']
    runs = {'all read': [], 'ten stopped': []}
    for _ in range(rounds):
        for name, share in [('all read', '0.0001'), ('ten stopped', '0.1')]:
            with Hub() as hub:
                runs[name].append(hub.load(f'slow --subs 100 --slow {share} --rate 300 --payload 8192 --seconds 8 --warmup 0'))
    for name, results in runs.items():
        print(f'| {name} | ' + ' | '.join(cell(statistics.median(r[n] for r in results), None) for n in names) + ' |')


def heartbeat():
    """The pings of 19,000 idle connections at the default interval."""
    with Hub() as hub:
        r = hub.load('idle --subs 19000 --seconds 62')
    print(f'\n## Heartbeat of 19,000 idle connections\n\n{r["pings_answered"]:,} pings in 62 s took {r["idle_cpu_percent"]:.2f} % of a core; '
          f'{r["disconnects"]} disconnects.')


def instructions():
    """User-space instructions per delivery, start and end of the process taken out: two run lengths under callgrind."""
    if shutil.which('valgrind') is None:
        return say('  instructions are left out: they want valgrind')
    print('\n## Instructions in user space per delivery, 1 x 1000 x 128 B\n\n| in flight | instructions |\n|---|---:|')
    for window in [1, 16, 64]:
        totals = []
        for messages in [100, 420]:
            profile = os.path.join(OUT, 'callgrind.out')
            with Hub(['valgrind', '--tool=callgrind', f'--callgrind-out-file={profile}']) as hub:
                delivered = hub.load(f'fanout --subs 1000 --payload 128 --window {window} --seconds 200 --messages {messages}')['deliveries']
            with open(profile) as file:
                totals.append((int(next(l for l in file if l.startswith(('summary:', 'totals:'))).split()[1]), delivered))
        (a, few), (b, many) = totals
        print(f'| {window} | {(b - a) / (many - few):.0f} |')


def kernel_limit():
    """CPU us per frame of one thread that does nothing but sendmsg; without it when it can't be built."""
    made = os.path.join(OUT, 'limit')
    built = subprocess.run(['cc', '-O2', os.path.join(LOAD, 'limit', 'limit.c'), '-o', made, '-luring'], capture_output=True)
    if built.returncode != 0:
        say('  the bare writev loop is left out: it wants liburing-dev')
        return
    print('\n## What the kernel alone costs (limit.c: one thread, 1000 sockets, frames per call)\n\n```')
    print(subprocess.run([made, '128'], capture_output=True, text=True).stdout.strip())
    print('```')


def cell(value, of_reference):
    if value is None:
        return '-'
    text = f'{value:,.0f}' if value >= 100 else f'{value:.3g}'
    return text if of_reference is None else f'{text} ({of_reference:.2f})'


def table(results, scenarios, names, column, title):
    """A row for each scenario: the median of `column`, and of what it is of the reference's in the same round."""
    rows = []
    for scenario in scenarios:
        rounds = {n: [r.get(column) for r in results if r['scenario'] == scenario and r['peer'] == n] for n in names}
        if not any(v is not None for n in names for v in rounds[n]):
            continue
        row = [scenario]
        for n in names:
            values = [v for v in rounds[n] if v is not None]
            pairs = [a / b for a, b in zip(rounds[n], rounds.get(REFERENCE, [])) if a is not None and b]
            row.append(cell(statistics.median(values) if values else None,
                            statistics.median(pairs) if pairs and n != REFERENCE else None))
        rows.append(row)
    if not rows:
        return
    print(f'\n## {title}\n\n| scenario | ' + ' | '.join(names) + ' |\n|---|' + '---:|' * len(names))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')


OWN = {'stalled': stalled, 'heartbeat': heartbeat, 'instructions': instructions, 'limit': kernel_limit}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--loadgen', help='the folder of the load generator')
    parser.add_argument('--only', default=','.join(PEERS), help='peers, by their names in peers.json, and weir, "weir (2 threads)", "weir (short history)", '
                             '"coalescing Beast (frames as large)"')
    parser.add_argument('--scenarios', default=','.join(SCENARIOS + ALONE),
                        help='by their names in run.py, and ' + ', '.join(ALONE))
    parser.add_argument('--seconds', type=float, default=3, help='of each run (3)')
    parser.add_argument('--rounds', type=int, default=3, help='of all peers in turn (3)')
    options = parser.parse_args()
    chosen, peers = prepare(find_load_generator(options.loadgen))
    names = [n for n in options.only.split(',') if n]
    for n in names:
        if n not in peers:
            fail(f'there is no peer "{n}"; there are ' + ', '.join(peers))
        needs = os.path.join(LOAD, peers[n].get('needs', '/'))
        if not os.path.exists(needs):
            say(f'  {n} is left out: it wants {needs}')
    out = os.path.join(OUT, 'results.jsonl')
    if os.path.exists(out):
        os.remove(out)
    alone = [s for s in options.scenarios.split(',') if s in ALONE]
    scenarios = [s for s in options.scenarios.split(',') if s and s not in ALONE]
    with open(os.path.join(LOAD, 'run.py')) as file:
        known = file.read()
    for scenario in scenarios:
        if f"'{scenario}'" not in known:
            fail(f'there is no scenario "{scenario}"; there are {", ".join(SCENARIOS + ALONE)}, and what run.py has besides')
    for at, scenario in enumerate(scenarios, 1):
        say(f'  {at} of {len(scenarios)}: {scenario}')
        done = subprocess.run([sys.executable, os.path.join(LOAD, 'run.py'), '--peers', chosen, '--wsload', os.path.join(OUT, 'wsload'),
                               '--only', ','.join(names), '--scenarios', scenario, '--rounds', str(options.rounds),
                               '--seconds', str(options.seconds), '--out', out], capture_output=True, text=True)
        if done.returncode != 0:
            fail(f'{scenario}: {done.stderr[-2000:]}')
    results = []
    if scenarios:
        with open(out) as file:
            results = [json.loads(line) for line in file]
    for r in results:
        if 'failed' in r:
            say(f'  {r["peer"]}, {r["scenario"]}: {r["failed"]}')
    names = [n for n in names if any(r['peer'] == n for r in results)]
    # What a peer lost it did not have to send: such a figure is none.
    for r in results:
        if not r['scenario'].startswith(('slow', 'storm')) and r.get('lost', 0) > 0:
            say(f'  {r["peer"]}, {r["scenario"]}: lost {r["lost"]:,}; its CPU time is left out')
            r.pop('server_cpu_s_per_million', None)
    fan = [s for s in scenarios if not s.startswith(('idle', 'slow', 'storm'))]
    table(results, fan, names, 'server_cpu_s_per_million', f'CPU us per delivery (of {REFERENCE}\'s)')
    table(results, fan, names, 'deliveries_per_s', 'Deliveries per second')
    for column, title in [('latency_p50_us', 'Latency, p50, us'), ('latency_p99_us', 'Latency, p99, us')]:
        table(results, [s for s in fan if s.startswith('rate')] + [s for s in scenarios if s == 'slow'], names, column, title)
    idle = [s for s in scenarios if s.startswith('idle')]
    for column, title in [('rss_bytes_per_connection', 'Bytes of the process for each idle connection'),
                          ('connect_cpu_us_each', 'CPU us for each connect'), ('connects_per_s', 'Connects per second'),
                          ('idle_cpu_percent', 'CPU of the idle server, percent of a core')]:
        table(results, idle, names, column, title)
    slow = [s for s in scenarios if s.startswith('slow')]
    for column, title in [('lost', 'A tenth of the readers stops: lost by the others'),
                          ('server_rss_before_mb', 'MiB of the process before'), ('server_peak_rss_mb', 'MiB of the process at most')]:
        table(results, slow, names, column, title)
    table(results, [s for s in scenarios if s.startswith('storm')], names, 'all_back_s', 'Storm: seconds until all are back')
    for name in alone:
        say(f'  {name}')
        OWN[name](*([options.rounds] if name == 'stalled' else []))
    if results:
        print('\nEach run: build/load/build/results.jsonl')


if __name__ == '__main__':
    main()
