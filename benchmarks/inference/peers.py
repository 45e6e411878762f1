"""One peer of the benchmark, in a process of its own: reads commands, one a line, and answers each with one line of JSON.

    peers.py NAME --weights FILE --profile imagenet|tf --cores 0,1 PHOTO…

network SECONDS   milliseconds of the network alone, one image at a time
prepare SECONDS   milliseconds of decoding, resizing and filling the tensor, a photo
photos SECONDS    photos per second, from their bytes to their labels
label             the labels' numbers, in the order of the photos
logits            the network's answer to one fixed tensor: are they all the same network?
"""
import argparse
import concurrent.futures
import io
import itertools
import json
import os
import sys
import time

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Opencv:
    """cv2.imdecode, resize, centre crop, blobFromImage."""

    def __init__(self, profile):
        import cv2
        self.cv2, self.profile = cv2, profile
        cv2.setNumThreads(1)
        if profile == "imagenet":
            self.scale, self.mean = 1 / (255 * 0.226), tuple(255 * mean for mean in MEAN)
        else:
            self.scale, self.mean = 1 / 127.5, (127.5, 127.5, 127.5)

    def prepare(self, photo):
        import numpy
        cv2 = self.cv2
        image = cv2.imdecode(numpy.frombuffer(photo, numpy.uint8), cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        scale = 256 / min(height, width)
        image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
        return cv2.dnn.blobFromImage(image[top:top + 224, left:left + 224], self.scale, (224, 224), self.mean, swapRB=True)


class OnnxRuntime:
    def __init__(self, options):
        import onnxruntime
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        self.sessions = [onnxruntime.InferenceSession(options.weights, settings, providers=["CPUExecutionProvider"])
                         for _ in options.cores]
        self.name = self.sessions[0].get_inputs()[0].name
        self.version = f"ONNX Runtime {onnxruntime.__version__}"
        self.prepare = Opencv(options.profile).prepare

    def run(self, tensor, worker=0):
        return self.sessions[worker].run(None, {self.name: tensor})[0]

    def stream(self, photos, seconds):
        """A thread and a session for each core."""
        end = time.perf_counter() + seconds

        def work(worker):
            done = 0
            for photo in itertools.islice(itertools.cycle(photos), worker, None):
                if time.perf_counter() > end:
                    return done
                self.run(self.prepare(photo), worker).argmax()
                done += 1

        with concurrent.futures.ThreadPoolExecutor(len(self.sessions)) as pool:
            return sum(pool.map(work, range(len(self.sessions))))


class Openvino:
    def __init__(self, options, precision):
        import openvino
        core = openvino.Core()
        model = core.read_model(options.variant if precision == "int8" else options.weights)
        model.reshape([1, 3, 224, 224])
        # int8 variants keep layers in floats: in bf16 where that is quick, as imgrec does.
        hint = "bf16" if precision == "bf16" or (precision == "int8" and options.amx) else "f32"
        self.compiled = core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": len(options.cores), "NUM_STREAMS": len(options.cores),
            "INFERENCE_PRECISION_HINT": hint})
        self.request = self.compiled.create_infer_request()
        self.queue = openvino.AsyncInferQueue(self.compiled)
        self.queue.set_callback(lambda request, _: request.get_output_tensor().data.argmax())
        self.version = f"OpenVINO {openvino.__version__.split('-')[0]}"
        self.prepare = Opencv(options.profile).prepare

    def run(self, tensor):
        return next(iter(self.request.infer({0: tensor}).values()))

    def stream(self, photos, seconds):
        end = time.perf_counter() + seconds
        done = 0
        for photo in itertools.cycle(photos):
            if time.perf_counter() > end:
                break
            self.queue.start_async({0: self.prepare(photo)})
            done += 1
        self.queue.wait_all()
        return done


class Pytorch:
    def __init__(self, options):
        import cuda_stubs
        cuda_stubs.make()
        import numpy
        import torch
        from PIL import Image
        import torch_resnet18
        torch.set_num_threads(1)
        self.numpy, self.torch, self.image = numpy, torch, Image
        self.model = torch_resnet18.load(options.weights)
        if self.model is None:
            raise SystemExit("this peer runs a ResNet-18 only")
        self.mean, self.deviation = torch.tensor(MEAN).reshape(3, 1, 1), torch.tensor(DEVIATION).reshape(3, 1, 1)
        self.version = f"PyTorch {torch.__version__.split('+')[0]}"

    def prepare(self, photo):
        """What torchvision's Resize, ToTensor and Normalize do."""
        image = self.image.open(io.BytesIO(photo)).convert("RGB").resize((224, 224), self.image.BILINEAR)
        tensor = self.torch.from_numpy(self.numpy.array(image)).permute(2, 0, 1).contiguous().to(self.torch.float32).div(255)
        return tensor.sub_(self.mean).div_(self.deviation).unsqueeze(0)

    def run(self, tensor):
        with self.torch.no_grad():
            return self.model(self.torch.as_tensor(tensor)).numpy()

    def stream(self, photos, seconds):
        end = time.perf_counter() + seconds
        done = 0
        for photo in itertools.cycle(photos):
            if time.perf_counter() > end:
                return done
            self.run(self.prepare(photo)).argmax()
            done += 1


def make_peer(options):
    if options.name == "onnxruntime":
        return OnnxRuntime(options)
    if options.name == "pytorch":
        return Pytorch(options)
    return Openvino(options, options.name.removeprefix("openvino-"))


def mean_milliseconds(call, items, seconds):
    begin = time.perf_counter()
    done = 0
    for item in itertools.cycle(items):
        call(item)
        done += 1
        if time.perf_counter() - begin > seconds:
            return 1000 * (time.perf_counter() - begin) / done


def fixed_tensor():
    import numpy
    return numpy.linspace(-2, 2, 3 * 224 * 224, dtype=numpy.float32).reshape(1, 3, 224, 224)


def answer(peer, photos, command, seconds):
    if command == "network":
        return mean_milliseconds(peer.run, [peer.prepare(photos[0])], seconds)
    if command == "prepare":
        return mean_milliseconds(peer.prepare, photos, seconds)
    if command == "photos":
        begin = time.perf_counter()
        done = peer.stream(photos, seconds)
        return done / (time.perf_counter() - begin)
    if command == "label":
        return [int(peer.run(peer.prepare(photo)).argmax()) for photo in photos]
    return [round(float(value), 6) for value in peer.run(fixed_tensor()).reshape(-1)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--variant")
    parser.add_argument("--profile", required=True)
    parser.add_argument("--cores", type=lambda text: [int(core) for core in text.split(",")], required=True)
    parser.add_argument("--amx", action="store_true")
    parser.add_argument("photos", nargs="+")
    options = parser.parse_args()
    os.sched_setaffinity(0, options.cores)
    peer = make_peer(options)
    photos = [open(photo, "rb").read() for photo in options.photos]
    peer.stream(photos, 0.3)
    print(json.dumps(peer.version), flush=True)
    for line in sys.stdin:
        command, _, seconds = line.strip().partition(" ")
        print(json.dumps(answer(peer, photos, command, float(seconds or 0))), flush=True)


if __name__ == "__main__":
    main()
