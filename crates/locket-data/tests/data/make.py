"""Makes the small pictures in this folder, and beside each the RGB array that Pillow makes of it.

python3 -m venv V && V/bin/pip install numpy pillow && V/bin/python make.py

Written with Pillow 13.0.0 (libjpeg-turbo 3.2.0); the pictures are drawn here, so they belong to the project.
"""
import pathlib
import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent


def scene(width, height):
    """A gradient, a disc and a grid of fine lines: flat, smooth and sharp parts."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) * 7 % 256], -1)
    disc = (x - width * 0.4) ** 2 + (y - height * 0.5) ** 2 < (min(width, height) * 0.3) ** 2
    picture[disc] = [220, 40, 60]
    picture[(x % 7 == 3) & (y > height // 2)] = [20, 200, 240]
    return Image.fromarray(picture.astype(np.uint8), "RGB")


def save(name, picture, **options):
    path = HERE / name
    picture.save(path, **options)
    np.save(path.with_suffix(".npy"), np.asarray(Image.open(path).convert("RGB")))


rgb = scene(37, 29)
save("jpeg_444.jpg", rgb, quality=90, subsampling="4:4:4")
save("jpeg_422.jpg", rgb, quality=80, subsampling="4:2:2")
save("jpeg_420.jpg", rgb, quality=75, subsampling="4:2:0")
save("jpeg_progressive.jpg", rgb, quality=85, subsampling="4:2:0", progressive=True)
save("jpeg_progressive_444.jpg", scene(19, 33), quality=92, subsampling="4:4:4", progressive=True)
save("jpeg_restart.jpg", scene(45, 37), quality=60, subsampling="4:2:0", restart_marker_blocks=2)
save("jpeg_narrow.jpg", scene(3, 9), quality=70, subsampling="4:2:0")  # too narrow for triangle filters
save("jpeg_grey.jpg", rgb.convert("L"), quality=85)
save("jpeg_rgb.jpg", rgb, quality=90, keep_rgb=True)
save("jpeg_cmyk.jpg", rgb.convert("CMYK"), quality=90)
exif = Image.Exif()
exif[0x0112] = 6  # rotate by 90 degrees to show: to be ignored
save("jpeg_orientation.jpg", rgb, quality=85, exif=exif)
save("jpeg_1x1.jpg", scene(1, 1), quality=85)

small = scene(13, 9)
alpha = Image.fromarray((np.mgrid[0:9, 0:13][1] * 21 % 256).astype(np.uint8), "L")
rgba = small.copy()
rgba.putalpha(alpha)
save("png_rgb.png", small)
save("png_rgba.png", rgba)
save("png_grey.png", small.convert("L"))
save("png_grey_alpha.png", rgba.convert("LA"))
save("png_palette.png", small.quantize(16))
save("png_palette_transparent.png", small.quantize(16), transparency=3)
save("png_1bit.png", small.convert("1"))
save("webp_lossless.webp", small, lossless=True)
save("webp_alpha.webp", rgba, lossless=True, exact=True)
save("webp_lossy.webp", rgb, quality=80)

# Resizing: the source, and what Pillow makes of it at some sizes (width x height), in colour and of the first channel alone.
np.save(HERE / "scene.npy", np.asarray(rgb))
red = Image.fromarray(np.ascontiguousarray(np.asarray(rgb)[:, :, 0]), "L")
for width, height in [(11, 8), (37, 8), (11, 29), (37, 29), (60, 50), (90, 9), (36, 30), (36, 26), (2, 3), (1, 1)]:
    np.save(HERE / f"resize_{width}x{height}.npy", np.asarray(rgb.resize((width, height), Image.BILINEAR)))
    np.save(HERE / f"resize_grey_{width}x{height}.npy", np.asarray(red.resize((width, height), Image.BILINEAR)))
