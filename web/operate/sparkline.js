/** A small line of the last minutes, without axes; the number next to it says it in text. */

import { colour, isDark, theme } from "../lib/theme.js";
import { useValue } from "../lib/state.js";
import { html, useEffect, useRef } from "../vendor/htm/preact.js";
import uPlot from "../vendor/uplot/uplot.js";

const HEIGHT = 36;
const WINDOW_MIN_S = 60;

/** The line of a series. */
export function Sparkline({ series }) {
  const { times, values } = useValue(series);
  useValue(theme);
  const box = useRef(null);
  const plot = useRef(null);
  const dark = isDark();
  useEffect(() => {
    const made = (plot.current = new uPlot(optionsFor(box.current), [times, values], box.current));
    const resized = new ResizeObserver(() => made.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [dark]);
  useEffect(() => plot.current?.setData([times, values]), [times]);
  return html`<div class="spark" ref=${box} aria-hidden="true"></div>`;
}

function optionsFor(box) {
  return {
    width: box.clientWidth || 120,
    height: HEIGHT,
    padding: [3, 0, 3, 0],
    cursor: { show: false },
    legend: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: { x: { time: false, range: (_plot, first, last) => [Math.min(first, last - WINDOW_MIN_S), last] }, y: { range: (_plot, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) } },
    series: [{}, { stroke: colour("--accent"), width: 1.5, fill: colour("--accent-faint"), points: { show: false }, spanGaps: true }],
  };
}
