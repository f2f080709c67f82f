// Browsers start no worker from file://, and the search of this site runs in one. Opened as a file, a page therefore
// runs the worker's script in a hidden frame of its own; messages go both ways as they would to a worker.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super()
      const address = new URL(script, location.href).href
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "Search"
      this.waiting = []
      frame.addEventListener("load", () => {
        if (frame.dataset.ready) return
        frame.dataset.ready = "yes"
        const inside = frame.contentWindow
        inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
        const worker = inside.document.createElement("script")
        worker.src = address
        worker.addEventListener("load", () => {
          this.send = data => inside.dispatchEvent(new MessageEvent("message", { data }))
          this.waiting.forEach(this.send)
          this.waiting = []
        })
        inside.document.head.append(worker)
      })
      document.documentElement.append(frame)
    }

    postMessage(data) {
      if (this.send) this.send(data)
      else this.waiting.push(data)
    }
  }
}
