// The search runs in a worker, which browsers refuse to pages that are opened from a folder.
// There it runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(address) {
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = (data) => setTimeout(() => this.onmessage?.({ data: structuredClone(data) }));
      const script = frame.contentDocument.createElement("script");
      this.ready = new Promise((resolve) => { script.onload = resolve; });
      script.src = new URL(address, location).href;
      frame.contentDocument.body.append(script);
      this.frame = frame;
    }
    postMessage(data) {
      this.ready.then(() => setTimeout(() => this.frame.contentWindow?.onmessage?.({ data: structuredClone(data) })));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
