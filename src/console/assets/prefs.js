// What this browser remembers about an agent's desk: devices, filters, volume. Never a secret.

const KEY = 'tandem.desk';

const DEFAULTS = {
  /** Device ids; empty = the system's choice. */
  microphone: '',
  speaker: '',
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  /** 0–1 */
  ringVolume: 0.7,
  /** Where the bell is heard; empty = where all else is. */
  ringDevice: '',
  /** Whether the bell begins softly and gets louder. */
  ringRises: true,
  /** What a customer is told by an agent who has no time: the last words of one's own. */
  busyWords: '',
  /** Business number last called from. */
  numberId: '',
  /** Whether what is said is shown above the call bar. */
  captions: true,
  /** By which a customer was asked last. */
  template: '',
  templateLanguage: 'en',
};

export const prefs = { ...DEFAULTS, ...read() };

export function setPref(name, value) {
  prefs[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch { /* storage may be forbidden: then it lasts as long as the page */ }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
