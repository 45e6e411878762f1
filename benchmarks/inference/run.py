#!/usr/bin/env python3
"""imgrec beside its peers, in one session: ./dev bench inference --photos DIR --model NAME [--model-dir DIR]

Peers: ONNX Runtime + OpenCV, OpenVINO + OpenCV (f32, bf16, int8), PyTorch + Pillow; each in a process of its own, as its
users would write it (peers.py). Each round measures all of them and imgrec in turn, so that what disturbs the machine disturbs
all alike. Prints Markdown. Standard library only; the peers run in build/venv/bench.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
LABELS = {"onnxruntime": "ONNX Runtime + OpenCV, f32", "openvino-f32": "OpenVINO + OpenCV in Python, f32",
          "openvino-bf16": "OpenVINO + OpenCV in Python, bf16", "openvino-int8": "OpenVINO + OpenCV in Python, int8",
          "pytorch": "PyTorch + Pillow, f32"}
F32_PEERS = ("onnxruntime", "openvino-f32", "pytorch")
PRECISIONS = ("f32", "bf16", "int8")


def stop(text):
    sys.exit(f"bench inference: {text}")


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    flags = set((re.search(r"^flags\s*: (.*)$", text, re.M) or [" ", ""])[1].split())
    known = [name for name in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if name in flags]
    return found.group(1) if found else "unknown processor", known


class Peer:
    """A peer's process; asked one thing at a time. Unavailable where it cannot run here."""

    def __init__(self, options, name, cores):
        self.name = name
        command = [options.python, "-B", HERE / "peers.py", name, "--weights", options.weights, "--profile", options.profile,
                   "--cores", ",".join(map(str, cores)), *(["--variant", options.variant] if options.variant else []),
                   *(["--amx"] if "amx_bf16" in options.features else []), *options.photo_files]
        self.process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def ready(self):
        """What it is, or why it cannot be had."""
        line = self.process.stdout.readline()
        if line:
            return json.loads(line), None
        self.process.wait()
        return None, (self.process.stderr.read().strip().splitlines() or ["it ended"])[-1]

    def ask(self, *words):
        self.send(*words)
        return self.receive()

    def send(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            stop(f"{self.name} ended:\n{self.process.stderr.read()[-2000:]}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


class Samples(dict):
    """Name → one number per round."""

    def add(self, name, value):
        self.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self[name]) if self.get(name) else None

    def cell(self, name, decimals=2):
        if not self.get(name):
            return "-"
        values = self[name]
        return f"{statistics.median(values):.{decimals}f} ({min(values):.{decimals}f}-{max(values):.{decimals}f})"


def imgrec(options, *words, cores=None):
    def pin():
        if cores:
            os.sched_setaffinity(0, cores)
    places = ["--model-dir", options.model_dir] if options.model_dir else []
    done = subprocess.run([*map(str, [options.build / "imgrec", *words, *places])], stdout=subprocess.PIPE, text=True,
                          preexec_fn=pin, check=False)
    if done.returncode != 0:
        stop(f"imgrec {words[0]} ended with {done.returncode}")
    return done.stdout


def find_model(options):
    """The model's file, its profile and its int8 variant, from its manifest."""
    config = json.loads(imgrec(options, "config", "show", "--json")) if not options.model_dir else {}
    folder = pathlib.Path(options.model_dir or config["model.dir"]["value"]) / options.model
    if not (folder / "model.json").exists():
        stop(f"there is no model {options.model} in {folder.parent}: `imgrec model list` shows what is installed")
    manifest = json.loads((folder / "model.json").read_text())
    options.weights, options.profile, options.variant = folder / manifest["file"], manifest["profile"], None
    if manifest["profile"] not in ("imagenet", "tf"):
        stop("the peers prepare photos for the profiles imagenet and tf only")
    for variant in manifest.get("variants", []):
        if variant["precision"] == "int8":
            options.variant = folder / variant["files"][0]["file"]


def start_peers(options):
    """Peers on one core, peers on all, their versions, and why others are left out."""
    names = list(F32_PEERS)
    if "amx_bf16" in options.features or "avx512_bf16" in options.features:
        names.append("openvino-bf16")
    if options.variant:
        names.append("openvino-int8")
    one, every, versions, missing = {}, {}, {}, {}
    for name in LABELS:
        if name not in names:
            missing[name] = "no int8 variant of the model" if name.endswith("int8") else "no bf16 in this processor"
            continue
        # PyTorch's users run a process for each core; the others have threads.
        groups = [[core] for core in options.cores] if name == "pytorch" else [options.cores]
        peers = [Peer(options, name, options.cores[:1]), *(Peer(options, name, group) for group in groups)]
        answers = [peer.ready() for peer in peers]
        if reason := next((why for _, why in answers if why), None):
            missing[name] = reason
            continue
        one[name], every[name], versions[name] = peers[0], peers[1:], answers[0][0]
    return one, every, versions, missing


def check_same_network(one):
    """Every f32 peer answers the same: they run the same network. A peer that does not is an error."""
    logits = {name: peer.ask("logits") for name, peer in one.items() if name in F32_PEERS}
    reference = next(iter(logits.values()))
    for name, values in logits.items():
        if max(abs(a - b) for a, b in zip(values, reference, strict=True)) > 1e-3:
            stop(f"{name} runs another network than the others")


def measure_peers(options, one, every, samples):
    for name, peer in one.items():
        samples.add(f"{name} network", peer.ask("network", options.seconds))
        samples.add(f"{name} prepare", peer.ask("prepare", options.seconds))
        samples.add(f"{name} one", peer.ask("photos", 2 * options.seconds))
    for name, peers in every.items():
        for peer in peers:
            peer.send("photos", 2 * options.seconds)
        samples.add(f"{name} all", sum(peer.receive() for peer in peers))


def measure_imgrec(options, samples):
    common = ["bench", "--json", "--rounds", "1", "--seconds", options.seconds, "--engine", "openvino", "--model", options.model]
    alone = json.loads(imgrec(options, *common, "--threads", "1", *options.photo_files, cores=options.cores[:1]))
    samples.add("imgrec prepare", alone["stages_ms"]["decode_resize_tensor"]["median"])
    for engine in alone["engines"]:
        name = f"imgrec-{engine['precision']}"
        samples.add(f"{name} network", engine["infer_ms"]["median"])
        samples.add(f"{name} one", engine["one_core_images_per_s"]["median"])
        samples.add(f"{name} efficiency", engine["efficiency"]["median"])
    together = json.loads(imgrec(options, *common, "--threads", len(options.cores), *options.photo_files))
    for engine in together["engines"]:
        name = f"imgrec-{engine['precision']}"
        samples.add(f"{name} all", engine["all_cores_images_per_s"]["median"])
        samples.add(f"{name} scaling", engine["all_cores_over_one"]["median"])
        samples.add(f"{name} first label", engine["first_label_ms"]["median"])
        samples.add(f"{name} first label cached", engine["first_label_cached_ms"]["median"])
        samples.add(f"{name} peak", engine["peak_resident_mib"]["median"])


def measure_service(options, precision, samples):
    """`imgrec local` over `imgrec classify`, as ./dev bench throughput measures it."""
    command = [sys.executable, HERE.parent / "run.py", "throughput", "--build", options.build, "--photos", options.photos,
               "--model", options.model, "--rounds", "1", "--images", "200",
               *(["--model-dir", options.model_dir] if options.model_dir else [])]
    done = subprocess.run([*map(str, command)], env=os.environ | {"IMGREC_MODEL_PRECISION": precision}, stdout=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode != 0:
        stop("the throughput of the service cannot be measured")
    for name, key in (("imgrec classify", "classify"), ("imgrec local", "local"), ("local / classify", "local over classify")):
        found = re.search(rf"{name}.*?median\s+([0-9.]+)", done.stdout)
        samples.add(key, float(found.group(1)))


def agreement(options):
    if not options.variant:
        return None
    return json.loads(imgrec(options, "model", "agreement", options.model, "--precision", "int8", "--engine", "openvino",
                             "--images", options.photos, "--json"))


def ratio(a, b):
    return None if a is None or b is None or b == 0 else a / b


def targets(samples, precision, features, cores, figures):
    """(what, wanted, measured, met) of each row; measured is None where something was not to be had."""
    m = samples.median
    best_network = min((m(f"{name} network") for name in F32_PEERS if m(f"{name} network")), default=None)
    best_f32 = max((m(f"{name} one") for name in F32_PEERS if m(f"{name} one")), default=None)
    fastest = f"imgrec-{precision}"
    amx = "amx_int8" in features
    rows = [
        ("f32 network, one core: time over the best peer's", "≤ 1.03", ratio(m("imgrec-f32 network"), best_network)),
        ("photo → label, one core, f32: over the best peer in f32", "≥ 1.1", ratio(m("imgrec-f32 one"), best_f32)),
        (f"photo → label, one core, {precision}: over OpenVINO + OpenCV, {precision}", "≥ 1.25",
         ratio(m(f"{fastest} one"), m(f"openvino-{precision} one"))),
        (f"the same over ONNX Runtime f32{' (AMX)' if amx else ''}", "≥ 6" if amx else "≥ 4", ratio(m(f"{fastest} one"), m("onnxruntime one"))),
        (f"the same over PyTorch + Pillow{' (AMX)' if amx else ''}", "≥ 12" if amx else "≥ 8", ratio(m(f"{fastest} one"), m("pytorch one"))),
        ("decode + resize + tensor: time over OpenCV's", "≤ 0.6", ratio(m("imgrec prepare"), m("onnxruntime prepare"))),
        (f"pipeline efficiency, one core, {precision}", "≥ 0.95", m(f"{fastest} efficiency")),
        (f"all cores over one, {precision}", "≥ 1.9", m(f"{fastest} scaling")),
        (f"`imgrec local` over `imgrec classify`, all cores, {precision}", "≥ 0.6", m("local over classify")),
        (f"process start → first label, {precision}, compiled model kept, s", "≤ 0.4", ratio(m(f"{fastest} first label cached"), 1000)),
        (f"resident memory, a thread for each of {cores} cores, {precision}, MB", "≤ 200",
         None if m(f"{fastest} peak") is None else 1.048576 * m(f"{fastest} peak")),
    ]
    if figures:
        rows.append((f"int8 agreement with f32 on these {figures['photos']} photos, top-1", "≥ 0.97", figures["top1"]))
    return [(what, wanted, value, None if value is None else
             (value <= float(wanted[2:]) if wanted[0] == "≤" else value >= float(wanted[2:]))) for what, wanted, value in rows]


def markdown(options, samples, versions, missing, rows):
    name, features = processor()
    lines = [f"{name}, {len(options.cores)} cores ({' '.join(features)}); {options.model}, {len(options.photo_files)} photos; "
             f"median (lowest-highest) of {options.rounds} rounds.", "",
             "| | network, ms, 1 core | decode + resize + tensor, ms | photos/s, 1 core | photos/s, all cores |", "|---|---|---|---|---|"]
    for precision in reversed(PRECISIONS):
        key = f"imgrec-{precision}"
        if samples.get(f"{key} one"):
            lines.append(f"| **imgrec, {precision}** | {samples.cell(f'{key} network')} | {samples.cell('imgrec prepare')} | "
                         f"{samples.cell(f'{key} one', 1)} | {samples.cell(f'{key} all', 1)} |")
    for peer, label in LABELS.items():
        if peer in versions:
            lines.append(f"| {label} | {samples.cell(f'{peer} network')} | {samples.cell(f'{peer} prepare')} | "
                         f"{samples.cell(f'{peer} one', 1)} | {samples.cell(f'{peer} all', 1)} |")
    lines += ["", "Versions: " + ", ".join(dict.fromkeys(versions.values())) + "."]
    lines += [f"Not measured: {LABELS[peer]} ({why})." for peer, why in missing.items()]
    lines += ["", "| | wanted | measured | |", "|---|---|---|---|"]
    for what, wanted, value, met in rows:
        shown = "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"
        lines.append(f"| {what} | {wanted} | {shown} | {'not measured' if met is None else 'met' if met else '**missed**'} |")
    return "\n".join(lines)


def fastest_precision(samples):
    found = [precision for precision in PRECISIONS if samples.get(f"imgrec-{precision} one")]
    return max(found, key=lambda precision: samples.median(f"imgrec-{precision} one"))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench inference", description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=pathlib.Path, default=pathlib.Path("build/samples"), metavar="DIR")
    parser.add_argument("--model", default="resnet18", metavar="NAME")
    parser.add_argument("--model-dir", metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path("build/venv/bench/bin/python"))
    parser.add_argument("--no-service", action="store_true", help="leave out `imgrec local`")
    parser.add_argument("--json", action="store_true", help="every number of every round instead of tables")
    options = parser.parse_args()
    options.cores = sorted(os.sched_getaffinity(0))
    options.features = processor()[1]
    options.photo_files = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in SUFFIXES)
    if not options.photo_files:
        stop(f"there are no photos in {options.photos}")
    find_model(options)
    one, every, versions, missing = start_peers(options)
    check_same_network(one)
    samples = Samples()
    try:
        for number in range(1, options.rounds + 1):
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
            measure_peers(options, one, every, samples)
            measure_imgrec(options, samples)
    finally:
        for peer in [*one.values(), *(peer for peers in every.values() for peer in peers)]:
            peer.end()
    precision = fastest_precision(samples)
    if not options.no_service:
        for _ in range(min(2, options.rounds)):
            measure_service(options, precision, samples)
    rows = targets(samples, precision, options.features, len(options.cores), agreement(options))
    if options.json:
        print(json.dumps({"processor": processor(), "model": options.model, "photos": len(options.photo_files),
                          "versions": versions, "not_measured": missing, "samples": samples,
                          "wanted": [dict(zip(("what", "wanted", "measured", "met"), row)) for row in rows]}, indent=2))
    else:
        print(markdown(options, samples, versions, missing, rows))


if __name__ == "__main__":
    main()
