"""A stand-in for MULE or Jukebox in an environment of its own: reads the list of clips, writes vectors of a width.

`python stand_in.py <clips.csv> <out> <width> [slices|fail|hang|quiet|nan|short|lack]`. Each vector begins with the
clip's sample rate, length and root mean square, so that a test can see what was heard.
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np
import soundfile


def main(listed: str, out: str, width: int, mode: str = "") -> None:
    with Path(listed).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    if mode == "fail":
        sys.exit("cannot find the weights\nCUDA out of memory")
    if mode == "hang":
        time.sleep(60)
    if mode == "quiet":
        return
    vectors = np.zeros((len(rows), 5, width) if mode == "slices" else (len(rows), width), np.float32)
    for vector, row in zip(vectors, rows, strict=True):
        samples, rate_hz = soundfile.read(row["path"])
        assert (rate_hz, len(samples)) == (int(row["sample_rate_hz"]), int(row["num_samples"]))
        vector[..., :3] = rate_hz, len(samples), np.sqrt(np.mean(samples**2))
    if mode == "nan":
        vectors[0, 0] = np.nan
    vectors = vectors[:-1] if mode == "short" else vectors
    if out.endswith(".npy"):
        np.save(out, vectors)
        return
    import polars as pl

    rows = rows[:-1] if mode == "lack" else rows
    found = [None if mode == "null" and n == 0 else vector.tolist() for n, vector in enumerate(vectors[: len(rows)])]
    pl.DataFrame({"track_uri": [row["track_uri"] for row in rows], "vector": found}).write_parquet(out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
