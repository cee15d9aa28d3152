// The search of these pages runs in a Worker. Browsers allow none where a page is opened from the disk: a hidden frame
// then runs the script instead.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.ready = new Promise((resolve) => {
        this.frame.onload = () => {
          this.frame.onload = null
          const script = this.frame.contentDocument.createElement("script")
          script.src = url
          script.onload = resolve
          // Messages of the script are for this page, not for its own window.
          this.frame.contentWindow.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
          this.frame.contentDocument.head.append(script)
        }
      })
      document.body.append(this.frame)
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
