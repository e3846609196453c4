// Scrolls the table by so many pixels a frame for so long; gives the time of each frame. Runs in the page.
async ([selector, pixels, seconds]) => {
  const frame = document.querySelector(selector);
  const times = [];
  await new Promise((done) => {
    const end = performance.now() + seconds * 1000;
    let before = performance.now();
    let direction = 1;
    const step = (now) => {
      times.push(now - before);
      before = now;
      if (frame.scrollTop + frame.clientHeight >= frame.scrollHeight - 1) direction = -1;
      if (frame.scrollTop <= 0) direction = 1;
      frame.scrollTop += direction * pixels;
      if (now < end) requestAnimationFrame(step);
      else done();
    };
    requestAnimationFrame(step);
  });
  return times.slice(1);
}
