"""The page that `trainer report` writes, in a real browser: Debian's chromium, without a window."""

import os
import re
import shutil
import unittest

from PIL import Image
from playwright.sync_api import sync_playwright

import support

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
HOSTILE = "</script><img src=http://example.com/x onerror=alert(1)><script>window.broken = 1</script>"


@unittest.skipUnless(BROWSER, "no chromium (Debian: chromium)")
class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        cls.browser = cls.playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def write(self, *runs):
        path = os.path.join(support.new_folder(self), "report.html")
        support.trainer("report", *runs, "--out", path)
        return path

    def open(self, path, **options):
        """The page, which must have drawn itself without a complaint and without asking for anything else."""
        page = self.browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.addCleanup(page.close)
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto("file://" + path)
        page.wait_for_selector("html[data-ready=true]", timeout=20000, state="attached")
        page.wait_for_timeout(100)
        self.assertEqual(said, [])
        self.assertEqual([url for url in asked if not url.startswith("data:")], ["file://" + path])
        return page

    def test_curves_of_two_runs_are_drawn(self):
        folder = support.new_folder(self)
        runs = [support.train(os.path.join(folder, str(i)), f"optimizer.learning_rate={rate}")
                for i, rate in enumerate((1e-3, 1e-2))]
        page = self.open(self.write(*runs))
        # Loss, accuracy, learning rate; images per second have no point where the clock did not move on between two rows.
        curves = [curve for i in range(3) for curve in page.locator("svg[role=img]").nth(i).locator("path.curve").all()]
        self.assertEqual(len(curves), 2 * (2 + 2 + 1))
        for curve in curves:
            self.assertEqual(len(re.findall("[ML]", curve.get_attribute("d"))), 3)
            self.assertGreater(curve.bounding_box()["width"], 200)
        # Loss falls from the first evaluation to the last as metrics.csv says.
        for run, curve in zip(runs, page.locator("svg").first.locator("path.curve.test").all()):
            ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", curve.get_attribute("d"))]
            losses = [row["test_loss"] for row in support.metrics(run)]
            self.assertEqual(ys[-1] > ys[0], losses[-1] < losses[0])

    def test_hover_tells_the_figures(self):
        run = support.train(support.new_folder(self))
        page, row = self.open(self.write(run)), support.metrics(run)[1]
        self.hover(page, 8 / 12)
        text = page.locator("#tip").inner_text()
        self.assertIn("step 8", text)
        self.assertIn(f"{row['test_loss']:.4g}", text)
        self.assertIn(f"{row['train_loss']:.4g}", text)
        page.mouse.move(5, 5)
        self.assertTrue(page.locator("#tip").is_hidden())

    @staticmethod
    def place(page, share):
        """Where the first chart has that share of its steps: MARGIN of chart.js lies beside the curves."""
        box = page.locator("svg[role=img]").first.bounding_box()
        return box["x"] + 52 + share * (box["width"] - 74), box["y"] + box["height"] / 2

    def hover(self, page, share):
        page.mouse.move(*self.place(page, share))

    def test_drag_zooms_every_chart_and_a_double_click_shows_all(self):
        page = self.open(self.write(support.train(support.new_folder(self))))
        ticks = lambda: page.locator("svg text[text-anchor=middle]").all_text_contents()
        whole = ticks()
        self.assertIn("0", whole)
        self.hover(page, 0.5)
        page.mouse.down()
        page.mouse.move(*self.place(page, 0.8), steps=4)
        page.mouse.up()
        self.assertNotIn("0", ticks())
        self.assertIn("8", ticks())
        page.locator("svg[role=img]").nth(1).dblclick()
        self.assertEqual(ticks(), whole)

    def test_buttons_hide_runs_and_change_the_scale(self):
        page = self.open(self.write(support.train(support.new_folder(self))))
        path = lambda: page.locator("svg path.curve.test").first.get_attribute("d")
        linear = path()
        page.get_by_role("button", name="log").first.click()
        self.assertNotEqual(path(), linear)
        page.get_by_role("button", name="by time").click()
        self.assertIn(" s", page.locator("svg text[text-anchor=middle]").last.text_content())
        page.locator("button.run").click()
        self.assertEqual(page.locator("svg path.curve").count(), 0)

    def test_names_and_values_are_text(self):
        folder = support.new_folder(self)
        run = support.train(folder, f"data.path={HOSTILE}")
        renamed = os.path.join(folder, "<script>window.broken = 2<")
        os.rename(run, renamed)
        page = self.open(self.write(renamed))
        self.assertEqual(page.locator("h1").inner_text(), os.path.basename(renamed))
        self.assertEqual(page.locator("img:not([src^='data:image/png;base64,'])").count(), 0)
        self.assertIsNone(page.evaluate("window.broken ?? null"))
        self.assertIn(HOSTILE, page.locator("td.value").all_inner_texts())

    def test_tables_of_layers_and_config(self):
        run = support.train(support.new_folder(self))
        page = self.open(self.write(run))
        text = page.locator("main").inner_text()
        for words in ("conv2d 3x3", "4x8x8", "multiply-adds", "model.features", "4, M, 8, M, A"):
            self.assertIn(words, text)
        best = max(row["test_accuracy"] for row in support.metrics(run))
        self.assertIn(f"{100 * best:.2f}%", text)

    def test_the_graph_of_a_residual_network(self):
        run = support.train(support.new_folder(self), "model.features=4, (4, 4)+, (8s2, 8)+, G")
        page = self.open(self.write(run))
        self.assertEqual(page.locator("td.graph").count(), page.locator("td.graph .lanes").count())
        # A lane leads past the first block, and on past the shortcut of the second: 3 dots. Another one leads from the
        # shortcut to the sum.
        self.assertEqual(page.locator(".node").count(), 5)
        boxes = [line.bounding_box() for line in page.locator("td.graph .up, td.graph .down").all()]
        self.assertTrue(boxes and all(box["height"] > 5 and box["width"] == 2 for box in boxes), boxes)

    def test_confusion_matrix_and_images_of_the_test_set(self):
        run = support.train(support.new_folder(self), "optimizer.learning_rate=1e-6")  # learns nothing
        page, best = self.open(self.write(run)), max(row["test_accuracy"] for row in support.metrics(run))
        cells = [[int(cell.text_content() or 0) for cell in line.locator("td:not(.share)").all()]
                 for line in page.locator("table.matrix tbody tr").all()]
        self.assertEqual([len(line) for line in cells], [3, 3, 3])
        self.assertEqual([sum(line) for line in cells], [10, 10, 10])  # sample i is of class i mod 3
        right = sum(cells[i][i] for i in range(3))
        self.assertAlmostEqual(right / 30, best, delta=1e-6)
        images = page.locator("figure img")
        self.assertEqual(images.count(), min(30 - right, 32))
        self.assertGreater(images.count(), 0)
        self.assertEqual({image.evaluate("image => image.naturalWidth") for image in images.all()}, {8})

    def test_mistakes_have_their_files(self):
        folder = support.new_folder(self)
        long = "a photograph with a remarkably long name, taken in summer"
        for label in range(3):
            for name in (f"{long} {label} {i}" for i in range(6)):
                path = os.path.join(folder, "d", f"class {label} <b>", name + ".png")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                Image.new("RGB", (8, 8), (40 * label, 0, 0)).save(path)
        run = support.train(folder, "data.dataset=folder", f"data.path={folder}/d", "data.test_size=9",
                            "train.batch_size=3", "optimizer.learning_rate=1e-6")
        page = self.open(self.write(run))
        figures = page.locator("figure").all()
        self.assertGreater(len(figures), 0)
        for figure in figures:
            file, place = figure.get_attribute("title").split("\n")
            shown = figure.locator(".file").inner_text()
            self.assertRegex(file, rf"^class \d <b>/{long} \d \d\.png$")
            self.assertRegex(place, r"^image \d of the test set$")
            self.assertEqual(len(shown), 31)
            self.assertTrue(file.startswith(shown[:15]) and file.endswith(shown[-15:]), shown)
            self.assertEqual(figure.locator("img").get_attribute("alt"), file)

    def test_it_works_without_checkpoints(self):
        run = support.train(support.new_folder(self))
        shutil.rmtree(run + "/checkpoints")
        page = self.open(self.write(run))
        self.assertIn("no confusion matrix", page.locator(".notice").first.inner_text())
        self.assertEqual(page.locator("table.matrix").count(), 0)
        self.assertIn("conv2d 3x3", page.locator("main").inner_text())

    def test_light_dark_and_phone(self):
        path = self.write(support.train(support.new_folder(self)))
        ground = lambda page: page.evaluate("getComputedStyle(document.body).backgroundColor")
        light, dark = self.open(path, color_scheme="light"), self.open(path, color_scheme="dark")
        self.assertNotEqual(ground(light), ground(dark))
        phone = self.open(path, viewport={"width": 360, "height": 780}, has_touch=True)
        self.assertLessEqual(phone.evaluate("document.documentElement.scrollWidth"), 360)

    def test_it_works_without_config(self):
        run = support.train(support.new_folder(self))
        os.remove(run + "/resolved.ini")
        page = self.open(self.write(run))
        self.assertIn("no config", page.locator(".notice").first.inner_text())
        self.assertEqual(page.locator("svg path.curve").count(), 5)  # no batch size, so no images per second


if __name__ == "__main__":
    unittest.main()
