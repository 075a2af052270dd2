// Draws an SVG on a canvas and saves it as PNG, in this browser alone.
export default ({ data, parentElement }) => {
  const button = parentElement.querySelector("button");
  button.textContent = data.label;
  button.onclick = () => {
    const image = new Image();
    image.onload = () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: data.width, height: data.height });
      canvas.getContext("2d").drawImage(image, 0, 0, data.width, data.height);
      canvas.toBlob(blob => {
        const address = URL.createObjectURL(blob);
        Object.assign(document.createElement("a"), { href: address, download: data.name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 60000);
      }, "image/png");
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(data.svg)}`;
  };
};
