"""The curves of speed-up as a picture, by gnuplot."""

import subprocess

COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98")
FONT = "font 'DejaVu Sans,12'"
TERMINALS = {"png": f"pngcairo size 1100,700 {FONT}", "svg": f"svg size 1100,700 dynamic {FONT}"}


def script(path, terminal, links, rows):
    most = rows[-1][0]
    lines = [f"set terminal {terminal}", f"set output '{path}'", "set border 3 lc rgb '#555555'", "set tics nomirror",
             "set grid back lc rgb '#dddddd' lw 1 lt 1", "set logscale xy 2",
             f"set xrange [1:{most}]", f"set yrange [0.5:{most}]",
             "set xlabel 'ranks, one on each machine'", "set ylabel 'speed-up over one machine with as many slices'",
             "set key left top"]
    curves = ["x with lines lc rgb '#999999' dt 2 title 'number of ranks'"]
    for index, link in enumerate(links):
        colour = COLOURS[index % len(COLOURS)]
        curves.append(f"$rows using 1:{index + 2} with linespoints lw 2 pt 7 ps 0.7 lc rgb '{colour}' "
                      f"title '{link:g} Gbit/s'")  # fmt: skip
    lines += ["$rows << END"]
    lines += [" ".join(map(str, [size, *(one / time for time in seconds)])) for size, one, seconds in rows]
    return "\n".join(lines + ["END", "plot " + ", ".join(curves), ""])


def draw(name, links, rows):
    for ending, terminal in TERMINALS.items():
        text = script(f"{name}.{ending}", terminal, links, rows)
        subprocess.run(["gnuplot", "-d", "-"], input=text, text=True, check=True)
