// Shown by the worker while the gateway cannot be reached: says why, and goes back to the console when it can.

const AGAIN_MS = 3_000;
const why = document.getElementById('why');

async function look() {
  if (!navigator.onLine) {
    say('This device has no network. Look at its Wi-Fi or cable.');
    return;
  }
  try {
    await fetch('/livez', { cache: 'no-store' });
    location.reload();
  } catch {
    say(`${location.host} does not answer. It is being restarted, or something between here and there is down: if it stays, tell whoever runs it.`);
  }
}

/** Not said again to those who listen. */
function say(sentence) {
  if (why.textContent !== sentence) why.textContent = sentence;
}

document.getElementById('again').addEventListener('click', look);
addEventListener('online', look);
addEventListener('offline', look);
setInterval(look, AGAIN_MS);
void look();
