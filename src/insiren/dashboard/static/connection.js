// The stream of events, and what is known of its health.

const PATIENCE = 25; // seconds without a sign of life; the server gives one every ten
const RETRY = 3; // seconds before a refused stream is asked for again

/** Keeps a stream open and reports what arrives. */
export class Connection {
  /** @param {{opened: Function, snapshot: Function, log: Function, reset: Function, changed: Function}} told */
  constructor(told) {
    this.told = told;
    this.state = "connecting";
    this.since = Date.now(); // of this state
    this.heard = Date.now();
    this.skew = 0; // seconds that the server's clock is ahead of ours
    this.open();
    setInterval(() => this.check(), 1000);
    window.addEventListener("online", () => this.open());
    window.addEventListener("pagehide", () => this.source?.close());
    window.addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  open() {
    this.source?.close();
    this.heard = Date.now();
    const source = new EventSource("events");
    this.source = source;
    source.addEventListener("open", () => {
      this.become("live");
      this.told.opened();
    });
    source.addEventListener("error", () => {
      this.become("reconnecting");
      if (source.readyState === EventSource.CLOSED) this.heard = Date.now() - (PATIENCE - RETRY) * 1000;
    });
    source.addEventListener("beat", (event) => {
      this.skew = JSON.parse(event.data).now - Date.now() / 1000;
      this.become("live");
    });
    for (const kind of ["snapshot", "log", "reset"]) {
      source.addEventListener(kind, (event) => {
        this.become("live");
        this.told[kind](JSON.parse(event.data));
      });
    }
  }

  become(state) {
    if (state === "live") this.heard = Date.now();
    if (state !== this.state) {
      this.state = state;
      this.since = Date.now();
    }
    this.told.changed();
  }

  check() {
    if (Date.now() - this.heard > PATIENCE * 1000) {
      this.become("reconnecting");
      this.open();
    }
    this.told.changed();
  }

  /** Seconds since a time that the server's side wrote. */
  age(iso) {
    return Date.now() / 1000 + this.skew - Date.parse(iso) / 1000;
  }
}
