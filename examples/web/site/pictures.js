// Pictures of the visitor's: chosen, dropped, pasted, or the camera's.

/// The middle of an image or a video as `size` × `size` pixels.
function pixels(source, wide, high, size) {
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const side = Math.min(wide, high);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, (wide - side) / 2, (high - side) / 2, side, side, 0, 0, size, size);
  return context.getImageData(0, 0, size, size).data;
}

const stem = (name) => name.replace(/\.\w+$/, "");

/// Calls `take(name, pixels)` with each file that is a picture, and `refuse` with the names of the others.
async function decode(files, size, take, refuse) {
  for (const file of files) {
    try {
      const image = await createImageBitmap(file);
      take(stem(file.name), pixels(image, image.width, image.height, size));
      image.close();
    } catch {
      refuse(`${file.name} is no picture that this browser can read.`);
    }
  }
}

/// Listens for files.
export function onFiles(size, take, refuse) {
  const input = document.getElementById("files");
  const images = (files) => decode([...files], size, take, refuse);
  input.addEventListener("change", async () => {
    await images(input.files);
    input.value = "";
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    images(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => images(event.clipboardData.files));
}

/// A camera that calls back with each of its frames while it is on.
export class Camera {
  #stream;
  #video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });

  get on() {
    return Boolean(this.#stream);
  }

  async start(size, frame) {
    if (!navigator.mediaDevices) throw new Error("This browser gives no camera to this page.");
    this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: 640 } });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    while (this.on) {
      await frame(pixels(this.#video, this.#video.videoWidth, this.#video.videoHeight, size));
      await new Promise(requestAnimationFrame);
    }
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
  }
}
