"""How many JPEG files of ImageNet's size can a machine read, decode and crop in a second?

    python experiments/performance/input_pipeline.py

Photographs of 500 × 375 pixels become random crops of 224 × 224 through `ImageFolder`: in a plain
loop, in threads, and through `BatchReader` as in training. The settings take turns; the numbers are
medians over rounds, without the time in which processes start.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from jaxsched.data import BatchReader, ImageFolder, StreamedImages
from jaxsched.tracking import environment

RESULTS = Path(__file__).parents[1] / "results" / "input_pipeline.json"
NUM_FILES = 64
NUM_IMAGES = 1024
BATCH_SIZE = 8
NUM_ROUNDS = 3


def write_photos(folder: Path) -> None:
    """Writes many crops of two photographs, as JPEG files of two classes."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, pixels in enumerate(load_sample_images().images):
            place = folder / split / f"photo {label}"
            place.mkdir(parents=True)
            for number in range(NUM_FILES // 2):
                left, top = map(int, random.integers((640 - 500, 427 - 375)))
                part = Image.fromarray(pixels).crop((left, top, left + 500, top + 375))
                part.save(place / f"{number}.jpeg", quality=92)


def in_threads(records: StreamedImages, threads: int) -> float:
    """Images a second without `BatchReader`; 0 threads is a plain loop."""

    def read(number: int) -> None:
        records.read(number % NUM_FILES, np.random.default_rng(number))

    with ThreadPoolExecutor(max(1, threads)) as pool:
        start = time.perf_counter()
        for _ in (pool.map if threads else map)(read, range(NUM_IMAGES)):
            pass
        return NUM_IMAGES / (time.perf_counter() - start)


def in_reading(records: StreamedImages, workers: int) -> float:
    """Images a second between the first batch and the last, whose readers have started by then."""
    numbers = np.arange(NUM_IMAGES)
    with BatchReader(
        records,
        numbers % NUM_FILES,
        numbers // NUM_FILES,
        batch_size=BATCH_SIZE,
        seed=0,
        workers=workers,
    ) as reader:
        arrivals = [time.perf_counter() for _ in reader]
    return BATCH_SIZE * (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])


def compare(settings: dict[str, Callable[[], float]]) -> list[dict[str, str | float]]:
    """Measures the settings in turns; returns the median images a second of each."""
    rates = {name: [] for name in settings}
    for _ in range(NUM_ROUNDS):
        for name, measure in settings.items():
            rates[name].append(measure())
    return [
        {"setting": name, "images_a_second": round(statistics.median(some), 1)}
        for name, some in rates.items()
    ]


def main() -> None:
    """Measures, prints and writes."""
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        records = ImageFolder(folder).load().train
        assert isinstance(records, StreamedImages)
        rows = compare(
            {
                f"{n} threads, without BatchReader": partial(in_threads, records, n)
                for n in (0, 1, 2, 4)
            }
            | {f"BatchReader, {n} workers": partial(in_reading, records, n) for n in (0, 1, 2)}
        )
    print(f"{os.cpu_count()} cores, median of {NUM_ROUNDS} rounds of {NUM_IMAGES} images")
    for row in rows:
        print(f"  {row['images_a_second']:8.1f} images/s  {row['setting']}")
    content = {"environment": environment(), "rows": rows}
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
