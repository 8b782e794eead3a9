"use strict";
// The values below the pointer, or below a cursor that the arrow keys move. Without this script the page shows all else.
for (const figure of document.querySelectorAll(".chart")) {
  const drawing = figure.querySelector("svg[role]");
  const cursor = drawing.querySelector(".cursor");
  const tip = figure.querySelector(".tip");
  const curves = JSON.parse(figure.querySelector("script").textContent);
  const steps = [...new Set(curves.flatMap((curve) => curve.places.map((place) => place[2])))].sort((a, b) => a - b);
  const across = new Map(curves.flatMap((curve) => curve.places.map((place) => [place[2], place[0]])));
  let shown = -1;
  drawing.tabIndex = 0;

  const nearest = (places, x) => places.reduce((best, place) => (Math.abs(place[0] - x) < Math.abs(best[0] - x) ? place : best));

  function show(x) {
    const values = curves.filter((curve) => curve.places.length).map((curve) => [curve.label, nearest(curve.places, x)]);
    if (!values.length) return;
    const step = values.map((value) => value[1]).reduce((best, place) => (Math.abs(place[0] - x) < Math.abs(best[0] - x) ? place : best))[2];
    shown = steps.indexOf(step);
    tip.textContent = "";
    for (const text of [`step ${step}`, ...values.map(([label, place]) => `${label} ${place[3]}` + (place[2] === step ? "" : ` (step ${place[2]})`))]) {
      tip.append(Object.assign(document.createElement("div"), { textContent: text }));
    }
    tip.hidden = false;
    cursor.setAttribute("transform", `translate(${across.get(step)} 0)`);
    cursor.setAttribute("visibility", "visible");
    const scale = drawing.clientWidth / drawing.viewBox.baseVal.width;
    const left = drawing.offsetLeft || figure.clientLeft;
    const wished = across.get(step) * scale + 26;
    tip.style.left = `${Math.max(4, Math.min(wished, figure.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${figure.querySelector("figcaption").offsetHeight + 44}px`;
  }

  function hide() {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  }

  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    show(((event.clientX - box.left) / box.width) * drawing.viewBox.baseVal.width);
  });
  drawing.addEventListener("pointerleave", hide);
  drawing.addEventListener("blur", hide);
  drawing.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !steps.length) return;
    event.preventDefault();
    show(across.get(steps[Math.max(0, Math.min(shown + move, steps.length - 1))]));
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
