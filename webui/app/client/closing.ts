/** Closing knows the WebSocket that is in use, and when it is closed: MQTT.js believes it earlier. */
export class Closing {
  private socket: WebSocket | undefined;

  /** watch notes the newest WebSocket and gives it back. */
  watch(socket: WebSocket): WebSocket {
    this.socket = socket;
    return socket;
  }

  /** sayGoodbye sends DISCONNECT, when that is still possible, and closes. */
  sayGoodbye(): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(new Uint8Array([0xe0, 0]));
    this.socket?.close();
  }

  /** closed waits for the close, at most so many milliseconds; false when it did not come. */
  closed(timeout: number): Promise<boolean> {
    const { socket } = this;
    if (!socket || socket.readyState === WebSocket.CLOSED) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (closed: boolean) => {
        clearTimeout(late);
        socket.removeEventListener("close", onClose);
        resolve(closed);
      };
      const onClose = () => end(true);
      const late = setTimeout(() => end(false), timeout);
      socket.addEventListener("close", onClose);
    });
  }
}
