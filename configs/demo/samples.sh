#!/usr/bin/env bash
# Fetches the demo's photos into a folder, and four small ones for the page into FOLDER/page: configs/demo/samples.sh FOLDER
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
target=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

/usr/bin/python3 -m venv "$work/venv"
# The wheels of one platform, whatever this one is: their digests are pinned, and nothing in them is run.
"$work/venv/bin/pip" download --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
  --python-version 3.11 --platform manylinux_2_28_x86_64 -d "$work" -r "$here/samples.txt"

"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
  -r "$here/shrink-requirements.txt"

mkdir -p "$target"
"$work/venv/bin/python" - "$work" "$target" <<'EOF'
import json, pathlib, sys, zipfile
from PIL import Image
work, target = map(pathlib.Path, sys.argv[1:])
photos = {
    "scikit_image": {"skimage/data/chelsea.png": "cat.png", "skimage/data/coffee.png": "espresso.png",
                     "skimage/data/rocket.jpg": "rocket.jpg"},
    "scikit_learn": {"sklearn/datasets/images/flower.jpg": "flower.jpg", "sklearn/datasets/images/china.jpg": "palace.jpg"},
}
for package, names in photos.items():
    wheel, = work.glob(package + "-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for inside, name in names.items():
            (target / name).write_bytes(archive.read(inside))

# Part of the page, which is to stay light: about 6 kB each.
page_photos = [
    ("cat", "Chelsea the cat", "Stefan van der Walt, CC0"),
    ("espresso", "An espresso", "Pikolo Espresso Bar, photo by Rachel Michetti, CC0"),
    ("rocket", "The launch of DSCOVR", "SpaceX, public domain"),
    ("palace", "A palace in China", "danielbuechele, CC BY 2.0, made smaller"),
]
page = target / "page"
page.mkdir(exist_ok=True)
for name, _, _ in page_photos:
    original, = target.glob(name + ".*")
    photo = Image.open(original).convert("RGB")
    photo.thumbnail((288, 288))
    photo.save(page / f"{name}.webp", quality=60, method=6)
(page / "samples.json").write_text(json.dumps([{"file": f"{name}.webp", "title": title, "by": by} for name, title, by in page_photos]) + "\n")
EOF

# Written last: it says that the folder is complete.
cat >"$target/ATTRIBUTION.txt" <<'EOF'
cat.png       Chelsea, by Stefan van der Walt. CC0. From the Python package scikit-image (chelsea.png).
espresso.png  Courtesy of Pikolo Espresso Bar, photo by Rachel Michetti. CC0. From scikit-image (coffee.png).
rocket.jpg    Launch of DSCOVR, by SpaceX. Public domain. From scikit-image (rocket.jpg).
flower.jpg    By vultilion (flickr.com/photos/vultilion/6056698931). CC BY 2.0. From the Python package scikit-learn.
palace.jpg    By danielbuechele (flickr.com/photos/danielbuechele/6061409035). CC BY 2.0. From scikit-learn (china.jpg).
EOF
