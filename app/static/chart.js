// The return curve by uPlot: mean of each evaluation with the range over its episodes, the training
// episodes faintly behind, a ring around the best evaluation, marks where a checkpoint was saved.
"use strict";

const drawCurve = (() => {
  const HEIGHT = 300;
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
  const write = (value) => digits.format(value).replace("-", "−");
  const show = (u, value) => (value == null ? "–" : write(value));
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const spoken = document.createElement("p"); // what the arrow keys reached, for screen readers
  spoken.className = "unseen";
  spoken.setAttribute("aria-live", "polite");

  let plot = null;
  let data = null; // of the last draw

  function columns(curve) {
    const evaluations = [curve.step, curve.mean, curve.low, curve.high];
    const episodes = [curve.episodeStep, curve.episodeReturn];
    return uPlot.join([[[0, curve.total]], evaluations, episodes]); // the axis spans the whole job
  }

  function ring(u) {
    if (data.best === null) return;
    const x = u.valToPos(data.best, "x", true);
    const y = u.valToPos(data.mean[data.step.indexOf(data.best)], "y", true);
    const ctx = u.ctx;
    ctx.save();
    ctx.strokeStyle = color("--curve");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(x, y, 7 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
    ctx.restore();
  }

  function saved(u) {
    const ctx = u.ctx;
    const bottom = u.bbox.top + u.bbox.height;
    ctx.save();
    ctx.strokeStyle = color("--saved");
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const step of data.checkpoints) {
      const x = Math.round(u.valToPos(step, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bottom);
      ctx.lineTo(x, bottom - 8 * devicePixelRatio);
      ctx.stroke();
    }
    ctx.restore();
  }

  function options(width) {
    const line = { spanGaps: true, value: show };
    const edge = { ...line, stroke: "transparent", width: 0, points: { show: false } };
    const axis = {
      stroke: () => color("--quiet"),
      grid: { stroke: () => color("--grid"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    return {
      width,
      height: HEIGHT,
      padding: [12, 16, 0, 0],
      scales: { x: { time: false } },
      cursor: { y: false, points: { size: 8 }, drag: { x: true, y: false } },
      series: [
        { label: "Step", value: (u, step) => (step == null ? "–" : step.toLocaleString("en")) },
        {
          ...line,
          label: "Evaluation mean",
          stroke: () => color("--curve"),
          width: 2,
          points: { show: true, size: 6, fill: () => color("--curve") },
        },
        { ...edge, label: "lowest" },
        { ...edge, label: "highest" },
        {
          ...line,
          label: "Training episodes",
          stroke: () => color("--episodes"),
          width: 1,
          points: { show: false },
        },
      ],
      bands: [{ series: [3, 2], fill: () => color("--band") }],
      axes: [
        { ...axis, size: 34, values: (u, steps) => steps.map((step) => compact.format(step)) },
        { ...axis, size: 64, values: (u, values) => values.map(write) },
      ],
      hooks: { draw: [saved, ring] },
    };
  }

  // Left and right walk over the evaluations when the chart has the focus.
  function walk(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !data.step.length) return;
    event.preventDefault();
    const shown = plot.data[0][plot.cursor.idx ?? -1] ?? -1;
    const next = way > 0 ? data.step.find((step) => step > shown) : data.step.findLast((step) => step < shown);
    const step = next ?? data.step[way > 0 ? data.step.length - 1 : 0];
    const mean = data.mean[data.step.indexOf(step)];
    plot.setCursor({ left: plot.valToPos(step, "x"), top: plot.valToPos(mean, "y") });
    spoken.textContent = `Step ${step.toLocaleString("en")}: mean return ${write(mean)}`;
  }

  function create(place) {
    place.replaceChildren();
    plot = new uPlot(options(place.clientWidth), columns(data), place);
    plot.root.tabIndex = 0;
    plot.root.setAttribute("role", "application");
    plot.root.setAttribute("aria-label", "Return by step. Left and right arrow keys move between evaluations.");
    plot.root.addEventListener("keydown", walk);
    place.append(spoken);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
  }

  // New points must not undo the reader's zoom.
  function update(before) {
    const zoomed = plot.scales.x.min > 0 || plot.scales.x.max < before.total;
    plot.setData(columns(data), !zoomed);
    if (zoomed) plot.redraw();
  }

  return (place, curve) => {
    if (!curve.step.length && !curve.episodeStep.length) return;
    const before = data;
    data = curve;
    if (plot) update(before);
    else create(place);
  };
})();
