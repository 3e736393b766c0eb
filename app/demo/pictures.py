"""What the demo's products look like: one function for each, painted by code. Knows no price and no stock."""

import math
from typing import Final

from app.demo.paint import Canvas, Color, bow, ellipse, line, polygon, ring, rounded

INK: Final[Color] = (38, 34, 48)
CREAM: Final[Color] = (250, 243, 230)


def mug() -> bytes:
    """A stoneware mug with a glazed band."""
    canvas = Canvas((252, 226, 204), (222, 150, 120))
    canvas.shadow((150, 478, 500, 560))
    canvas.shape((205, 92, 66), (160, 62, 48), ring((388, 256, 530, 430), 30))
    body = [rounded((160, 190, 440, 520), 52)]
    canvas.shape((226, 112, 82), (168, 66, 50), *body, across=True)
    canvas.inside(CREAM, body, rounded((120, 330, 480, 424), 0), opacity=0.92)
    canvas.inside((255, 255, 255), body, rounded((184, 180, 214, 530), 15), opacity=0.20)
    canvas.shape((130, 50, 42), (184, 80, 60), ellipse((160, 160, 440, 236)))
    canvas.shape((74, 40, 32), (104, 58, 42), ellipse((178, 174, 422, 232)))
    for x in (250, 300, 350):
        canvas.shape(CREAM, CREAM, line([(x, 132), (x + 14, 104), (x - 6, 78), (x + 8, 50)], 9), opacity=0.5)
    return canvas.finish()


def lamp() -> bytes:
    """A table lamp, lit."""
    canvas = Canvas((74, 70, 120), (28, 26, 58))
    for step in range(8):
        reach = 300 - step * 30
        canvas.shape((255, 214, 140), (255, 190, 110), ellipse((320 - reach, 300 - reach, 320 + reach, 300 + reach)),
                     opacity=0.05)  # fmt: skip
    canvas.shadow((190, 520, 450, 580), 0.5)
    canvas.shape((236, 196, 128), (170, 120, 66), rounded((308, 330, 332, 540), 10), across=True)
    canvas.shape((236, 196, 128), (150, 104, 58), ellipse((210, 514, 430, 566)))
    canvas.shape((255, 246, 214), (255, 206, 128), polygon((238, 130), (402, 130), (480, 352), (160, 352)))
    canvas.shape((255, 250, 228), (255, 232, 176), ellipse((160, 326, 480, 378)))
    canvas.shape((255, 236, 190), (244, 206, 140), ellipse((238, 112, 402, 148)))
    return canvas.finish()


def scarf() -> bytes:
    """A woollen scarf, folded once, with fringes."""
    canvas = Canvas((214, 232, 236), (120, 168, 184))
    canvas.shadow((150, 500, 520, 590), 0.28)
    for x in range(186, 322, 17):
        canvas.shape((28, 84, 104), (20, 60, 78), line([(x, 500), (x - 4, 566)], 8))
    for x in range(352, 474, 17):
        canvas.shape((42, 110, 130), (24, 72, 92), line([(x, 440), (x + 6, 506)], 8))
    right = [polygon((330, 180), (452, 160), (484, 452), (340, 452))]
    canvas.shape((56, 136, 154), (34, 92, 112), *right)
    left = [polygon((196, 190), (330, 170), (330, 510), (172, 510))]
    canvas.shape((40, 110, 130), (24, 74, 94), *left, across=True)
    for y in (240, 292, 404, 456):
        canvas.inside((244, 214, 150), left, line([(140, y), (360, y - 12)], 14), opacity=0.9)
        canvas.inside((244, 214, 150), right, line([(310, y - 30), (520, y - 54)], 14), opacity=0.8)
    canvas.shape((64, 150, 168), (38, 104, 124), bow((178, 84, 470, 300), 160, 380, 76))
    canvas.shape((255, 255, 255), (255, 255, 255), bow((190, 96, 458, 288), 200, 290, 8), opacity=0.22)
    return canvas.finish()


def headphones() -> bytes:
    """Headphones, from the front."""
    canvas = Canvas((238, 232, 248), (168, 152, 206))
    canvas.shadow((170, 510, 470, 570), 0.3)
    canvas.shape((62, 54, 88), (36, 32, 56), bow((146, 104, 494, 560), 176, 364, 34))
    canvas.shape((120, 108, 160), (90, 80, 128), bow((160, 118, 480, 546), 214, 300, 8), opacity=0.7)
    for x, inner in ((116, 1), (424, -1)):
        canvas.shape((76, 66, 108), (40, 35, 62), rounded((x, 300, x + 100, 500), 46), across=inner > 0)
        pad = x + 62 if inner > 0 else x - 10
        canvas.shape((242, 178, 140), (206, 126, 98), rounded((pad, 312, pad + 48, 488), 24))
        canvas.shape((255, 255, 255), (255, 255, 255), rounded((x + 22, 330, x + 32, 440), 5), opacity=0.25)
    return canvas.finish()


def backpack() -> bytes:
    """A backpack with a front pocket."""
    canvas = Canvas((226, 238, 214), (134, 168, 116))
    canvas.shadow((150, 516, 490, 584))
    canvas.shape((52, 82, 58), (36, 60, 44), bow((268, 70, 372, 210), 180, 360, 20))
    body = [rounded((166, 130, 474, 550), 96)]
    canvas.shape((92, 134, 92), (50, 84, 62), *body)
    canvas.inside((255, 255, 255), body, rounded((186, 150, 206, 530), 10), opacity=0.14)
    canvas.shape((66, 102, 72), (44, 74, 56), rounded((206, 336, 434, 520), 40))
    canvas.shape((232, 190, 116), (196, 146, 78), rounded((206, 384, 434, 394), 4))
    canvas.shape((196, 146, 78), (232, 190, 116), rounded((312, 380, 328, 424), 6))
    for x in (238, 386):
        canvas.shape((150, 98, 58), (112, 70, 42), rounded((x, 196, x + 16, 336), 6))
        canvas.shape((238, 204, 138), (206, 160, 92), rounded((x - 6, 256, x + 22, 284), 6))
    return canvas.finish()


def vase() -> bytes:
    """A vase with two stems."""
    canvas = Canvas((250, 236, 238), (214, 158, 170))
    canvas.shadow((196, 524, 444, 580))
    for lean, tall in ((-70, 90), (54, 50)):
        canvas.shape((86, 120, 84), (60, 92, 66), line([(320, 300), (320 + lean / 2, 200), (320 + lean, tall)], 8))
        for step in range(5):
            part = step / 5
            x, y = 320 + lean * (0.35 + part * 0.65), 240 - (240 - tall) * part
            side = 1 if step % 2 else -1
            leaf = (x if side > 0 else x - 54, y - 16, x + 54 if side > 0 else x, y + 14)
            canvas.shape((122, 160, 112), (84, 124, 88), ellipse(leaf))
    body = [ellipse((206, 296, 434, 556)), rounded((280, 236, 360, 340), 12)]
    canvas.shape((250, 246, 240), (208, 188, 182), *body, across=True)
    canvas.inside((196, 112, 108), body, rounded((180, 452, 460, 600), 0), opacity=0.85)
    canvas.shape((222, 204, 198), (190, 170, 164), ellipse((276, 226, 364, 250)))
    return canvas.finish()


def candle() -> bytes:
    """A candle in a glass."""
    canvas = Canvas((96, 74, 66), (40, 30, 34))
    for reach in range(220, 20, -28):
        canvas.shape((255, 196, 110), (255, 170, 90), ellipse((320 - reach, 190 - reach, 320 + reach, 190 + reach)),
                     opacity=0.05)  # fmt: skip
    canvas.shadow((184, 516, 456, 574), 0.55)
    glass = [rounded((196, 270, 444, 548), 36)]
    canvas.shape((226, 206, 184), (150, 118, 92), *glass, across=True, opacity=0.9)
    canvas.inside((250, 236, 208), glass, rounded((196, 336, 444, 560), 0), opacity=0.95)
    canvas.shape((252, 248, 240), (236, 222, 200), rounded((246, 392, 394, 486), 8))
    canvas.shape(INK, INK, line([(270, 426), (370, 426)], 6))
    canvas.shape(INK, INK, line([(286, 450), (354, 450)], 4))
    canvas.shape(INK, INK, line([(320, 338), (320, 296)], 6))
    canvas.shape(
        (255, 246, 190), (255, 150, 60), ellipse((296, 206, 344, 308)), polygon((320, 150), (340, 240), (300, 240))
    )
    canvas.shape((255, 255, 240), (255, 236, 160), ellipse((309, 250, 331, 302)))
    return canvas.finish()


def notebook() -> bytes:
    """A notebook with an elastic band and a pencil."""
    canvas = Canvas((255, 240, 196), (236, 186, 92))
    canvas.shadow((150, 508, 500, 580))
    canvas.shape((252, 250, 242), (226, 220, 206), rounded((184, 118, 478, 548), 16))
    canvas.shape((52, 72, 112), (30, 44, 76), rounded((168, 108, 462, 540), 18))
    canvas.shape((38, 54, 90), (22, 34, 62), rounded((168, 108, 206, 540), 14))
    canvas.shape((242, 122, 92), (214, 92, 70), rounded((408, 108, 424, 540), 2))
    canvas.shape((250, 240, 216), (232, 216, 184), rounded((246, 190, 376, 262), 8))
    canvas.shape(INK, INK, line([(266, 216), (356, 216)], 5))
    canvas.shape(INK, INK, line([(266, 238), (326, 238)], 5))
    canvas.shape((250, 200, 80), (228, 160, 50), polygon((486, 150), (520, 158), (456, 500), (424, 492)))
    canvas.shape((244, 218, 180), (224, 190, 150), polygon((424, 492), (456, 500), (426, 540)))
    canvas.shape(INK, INK, polygon((427, 520), (438, 523), (426, 540)))
    return canvas.finish()


def teapot() -> bytes:
    """A round teapot."""
    canvas = Canvas((214, 240, 230), (110, 176, 158))
    canvas.shadow((150, 486, 480, 560))
    canvas.shape((30, 96, 84), (20, 70, 62), ring((76, 250, 236, 440), 28))
    canvas.shape((42, 120, 104), (26, 84, 74), polygon((420, 400), (546, 236), (576, 250), (470, 470)))
    body = [ellipse((148, 216, 484, 530))]
    canvas.shape((66, 156, 136), (24, 82, 72), *body)
    canvas.inside((250, 240, 214), body, line([(120, 392), (510, 392)], 10), opacity=0.9)
    for step in range(11):
        x = 172 + step * 29
        canvas.inside((250, 240, 214), body, ellipse((x - 7, 414, x + 7, 428)), opacity=0.9)
    canvas.inside((255, 255, 255), body, ellipse((196, 250, 268, 330)), opacity=0.22)
    canvas.shape((58, 142, 124), (34, 104, 92), ellipse((232, 198, 400, 258)))
    canvas.shape((250, 206, 130), (214, 156, 84), ellipse((292, 158, 340, 206)))
    return canvas.finish()


def watch() -> bytes:
    """A field watch, ten past ten."""
    canvas = Canvas((232, 234, 240), (150, 158, 178))
    canvas.shadow((200, 540, 440, 596), 0.28)
    canvas.shape((150, 94, 60), (104, 62, 40), rounded((258, 40, 382, 220), 22), across=True)
    canvas.shape((150, 94, 60), (104, 62, 40), rounded((258, 420, 382, 600), 22), across=True)
    canvas.shape((214, 218, 226), (120, 126, 142), rounded((470, 304, 500, 340), 8))
    canvas.shape((236, 238, 244), (128, 134, 150), ellipse((162, 162, 478, 478)))
    canvas.shape((40, 48, 64), (24, 30, 44), ellipse((186, 186, 454, 454)))
    for hour in range(12):
        turn = math.radians(hour * 30)
        far, near = 118, 92 if hour % 3 == 0 else 104
        points = [(320 + math.sin(turn) * reach, 320 - math.cos(turn) * reach) for reach in (near, far)]
        canvas.shape(CREAM, CREAM, line(points, 9 if hour % 3 == 0 else 5))
    for degrees, reach, width in ((305, 62, 12), (60, 92, 8)):
        turn = math.radians(degrees)
        hand = [(320.0, 320.0), (320 + math.sin(turn) * reach, 320 - math.cos(turn) * reach)]
        canvas.shape(CREAM, CREAM, line(hand, width))
    canvas.shape((240, 116, 84), (240, 116, 84), line([(320, 352), (320, 226)], 3), ellipse((310, 310, 330, 330)))
    return canvas.finish()
