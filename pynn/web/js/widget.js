// The page in a notebook, as anywidget wants it: a frame with the page, and what it tells of itself in the widget's traits.

const TOLD = ["settings", "parameters", "epoch", "loss", "script"];

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = model.get("title");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.style.cssText = `width: 100%; height: ${model.get("height")}px; border: 0`;
  frame.srcdoc = model.get("page");
  const hear = ({ source, data }) => {
    if (source !== frame.contentWindow || data?.pynn !== "state") return;
    for (const key of TOLD) if (key in data) model.set(key, data[key]);
    model.save_changes();
  };
  addEventListener("message", hear);
  el.append(frame);
  return () => removeEventListener("message", hear);
}

export default { render };
