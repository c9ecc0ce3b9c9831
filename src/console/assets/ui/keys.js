// Keys that work wherever one is in the console. With Alt and Shift: a letter alone belongs to the field that is typed in, and to
// screen readers.

export const KEYS = {
  accept: { code: 'KeyA', keys: 'Alt+Shift+A', deed: 'Accept the call that rings' },
  reject: { code: 'KeyR', keys: 'Alt+Shift+R', deed: 'Reject the call that rings' },
  mute: { code: 'KeyM', keys: 'Alt+Shift+M', deed: 'Mute yourself in a call, and unmute' },
  hold: { code: 'KeyH', keys: 'Alt+Shift+H', deed: 'Put a call on hold, and resume it' },
};

/** The name of what is pressed, or null. By key position, because Alt changes the letter on many keyboards. */
export function pressed({ altKey, shiftKey, ctrlKey, metaKey, repeat, code }) {
  if (!altKey || !shiftKey || ctrlKey || metaKey || repeat) return null;
  return Object.keys(KEYS).find((name) => KEYS[name].code === code) ?? null;
}
