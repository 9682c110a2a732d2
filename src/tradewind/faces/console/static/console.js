/* What a page does beyond HTML: it draws charts, follows jobs, and lets budgets be dragged. Everything else works without. */
"use strict";

const narrow = 480;
const dark = () => {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

/* Charts: drawn when they come into view, in the page's colours and at its width. */
function recoloured(text) {
  if (!dark()) return text;
  const pairs = JSON.parse(document.body.dataset.palette || "{}");
  return text.replace(/#[0-9a-f]{6}/g, (found) => pairs[found] || found);
}

function drawChart(place) {
  const source = document.getElementById(place.dataset.spec);
  if (!source || !window.vegaEmbed) return;
  const spec = JSON.parse(recoloured(source.textContent));
  const width = Math.max(240, Math.floor(place.clientWidth) - 8);
  if (!spec.vconcat && !spec.facet) spec.width = width;
  if (spec.vconcat) spec.vconcat.forEach((part) => { part.width = width - 90; });
  if (width < narrow) {
    const axis = Object.assign({}, spec.config.axis, { labelLimit: Math.round(width * 0.35), tickCount: 4 });
    const legend = Object.assign({}, spec.config.legend, { columns: 2, labelLimit: Math.round(width * 0.35) });
    spec.config = Object.assign({}, spec.config, { axis, legend });
  }
  place.dataset.drawn = width + ":" + dark();
  window.vegaEmbed(place, spec, { mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: false })
    .then(() => {
      const drawn = place.querySelector("svg");
      if (drawn) { drawn.setAttribute("role", "img"); drawn.setAttribute("aria-label", place.dataset.said || "Chart"); }
      place.querySelectorAll("svg [aria-label]").forEach((mark) => {
        if (mark.querySelector("title") || mark === drawn) return;
        const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
        title.textContent = mark.getAttribute("aria-label");
        mark.append(title);
      });
    })
    .catch((error) => { place.textContent = "This chart could not be drawn: " + error.message; });
}

function charts(within) {
  const places = within.querySelectorAll(".chart[data-spec]");
  if (!places.length) return;
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { seen.unobserve(entry.target); drawChart(entry.target); }
  }), { rootMargin: "300px" });
  const watch = () => places.forEach((place) => seen.observe(place));
  if (window.vegaEmbed) { watch(); return; }
  if (document.getElementById("charts-script")) { document.getElementById("charts-script").addEventListener("load", watch); return; }
  const script = document.createElement("script");
  script.id = "charts-script";
  script.src = document.body.dataset.charts;
  script.addEventListener("load", watch);
  document.head.append(script);
}

function redraw() {
  document.querySelectorAll(".chart[data-drawn]").forEach((place) => {
    const width = Math.max(240, Math.floor(place.clientWidth) - 8);
    if (place.dataset.drawn !== width + ":" + dark()) drawChart(place);
  });
}

let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => { redraw(); edges(document); }, 200); });
addEventListener("beforeprint", () => {
  if (window.vegaEmbed) document.querySelectorAll(".chart[data-spec]:not([data-drawn])").forEach(drawChart);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

/* Tables wider than their place: shaded where there is more of them. */
function edges(within) {
  within.querySelectorAll(".scroll").forEach((place) => {
    const told = () => {
      const more = [];
      if (place.scrollLeft > 1) more.push("left");
      if (place.scrollLeft + place.clientWidth < place.scrollWidth - 1) more.push("right");
      place.dataset.more = more.join(" ");
    };
    if (!("more" in place.dataset)) place.addEventListener("scroll", told, { passive: true });
    told();
  });
}

/* On a narrow screen the pages are a row to be pushed aside: the present one is in view. */
const present = document.querySelector("nav.main [aria-current]");
if (present) {
  const row = present.closest("ul");
  row.scrollLeft = present.offsetLeft - row.offsetLeft - (row.clientWidth - present.offsetWidth) / 2;
}

/* Theme: kept in a cookie, so that the server's first byte has it. */
document.querySelectorAll("[data-themes]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    document.cookie = "theme=" + next + "; path=/; max-age=31536000; samesite=lax";
    redraw();
  });
});

/* Search from anywhere by keyboard, with suggestions as one types. */
const find = document.querySelector("form.find input");
if (find) {
  addEventListener("keydown", (event) => {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName) || event.target.isContentEditable;
    if ((event.key === "/" && !typing) || (event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey))) {
      event.preventDefault();
      find.focus();
      find.select();
    }
  });
}

/* Jobs: told by the server as they go on; the page is loaded anew when one is over. */
document.querySelectorAll("[data-job]").forEach((place) => {
  const bar = place.querySelector("progress"), words = place.querySelector(".step");
  const events = new EventSource("/api/v1/jobs/" + place.dataset.job + "/events");
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    const chip = document.querySelector(".chip[data-state]");
    if (chip) { chip.textContent = job.state; chip.className = "chip " + job.state; }
    if (words) words.textContent = job.state === "waiting" ? "Waiting for its turn" : job.step || "Working";
    if (bar && job.total) { bar.max = job.total; bar.value = job.done; }
    if (["done", "failed", "cancelled"].includes(job.state)) { events.close(); location.reload(); }
  });
});

/* A budget that is dragged: its amount at once, the plan when the hand rests. */
document.querySelectorAll("form[data-live]").forEach((form) => {
  const target = document.getElementById(form.dataset.live);
  let timer, last = 0;
  const ask = async () => {
    const mine = ++last;
    const query = new URLSearchParams(new FormData(form));
    const there = form.action + "?" + query;
    query.set("part", "1");
    let answer, text;
    try {
      answer = await fetch(form.action + "?" + query, { headers: { accept: "text/html" } });
      text = await answer.text();
    } catch {
      if (mine !== last) return;
      target.removeAttribute("aria-busy");
      let said = target.querySelector(".lost");
      if (!said) {
        said = document.createElement("p");
        said.className = "notice lost";
        said.setAttribute("role", "alert");
        target.prepend(said);
      }
      said.textContent = "The server cannot be reached: what stands below is of the budgets before. Change a budget to try again.";
      return;
    }
    if (mine !== last) return;
    if (answer.redirected) { location.assign(there); return; }
    target.innerHTML = text;
    target.removeAttribute("aria-busy");
    if (answer.ok) history.replaceState(null, "", there);
    charts(target);
    edges(target);
  };
  /* What stands below is of other budgets from the first stroke on: nothing can be decided by it. */
  const later = (pause) => {
    clearTimeout(timer);
    target.setAttribute("aria-busy", "true");
    target.querySelectorAll("form button").forEach((button) => { button.disabled = true; });
    timer = setTimeout(ask, pause);
  };
  form.querySelectorAll("input[type=range]").forEach((range) => {
    const amount = form.querySelector("[name='" + range.dataset.of + "']");
    range.hidden = false;
    range.addEventListener("input", () => {
      amount.value = Math.round(Number(range.value) * Number(range.dataset.step));
      later(250);
    });
    amount.addEventListener("input", () => {
      range.value = Number(amount.value) / Number(range.dataset.step);
      later(500);
    });
  });
});

/* A form that wants to be asked twice. */
addEventListener("submit", (event) => {
  const sure = event.target.dataset?.sure;
  if (sure && !confirm(sure)) event.preventDefault();
});

/* Selects that change the page as soon as they are set. */
document.querySelectorAll("form[data-auto] select").forEach((select) => {
  select.addEventListener("change", () => select.form.requestSubmit());
});

/* Replay of a room. */
document.querySelectorAll(".player[data-frames]").forEach((player) => {
  const frames = JSON.parse(document.getElementById(player.dataset.frames).textContent);
  const slider = player.querySelector("input[type=range]"), button = player.querySelector("button");
  let timer = null;
  player.hidden = false;
  const show = () => {
    const frame = frames[Number(slider.value)];
    player.querySelectorAll("[data-field]").forEach((field) => { field.textContent = frame[field.dataset.field] ?? ""; });
    slider.setAttribute("aria-valuetext", frame.clock);
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (Number(slider.value) >= frames.length - 1) slider.value = 0;
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) >= frames.length - 1) stop();
    }, 250);
  });
  slider.addEventListener("input", show);
  show();
});

charts(document);
edges(document);
