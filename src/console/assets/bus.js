// Who wants to know what. Topics:
//   agent (ourselves) · colleague (id: presence or readiness of anybody) · link · readiness · offers · call (CALL) · contact (CONTACT) · permission (PERMISSION) · phone · alarm · dtmf · recording · resync ·
//   settings ({ number_id }: settings or health of a number changed) · wallet ·
//   passed (why calls pass this agent by, or null) · ready (what readiness.js found) · test-ring (the gateway's try) ·
//   people (somebody who works here changed) · rights (what this agent may changed) ·
//   summary · transcript · note (each as its event has it) · answered (CALL, here) · over (CALL of ours) · wrapped (call id) · page ·
//   mic (the microphone's new track) · expired (the sign-in, during a call) · signed-in (again, during a call)

const listeners = new Map();

/** Calls `fn` at each `emit` of the topic; answers a function that ends it. */
export function on(topic, fn) {
  const set = listeners.get(topic) ?? new Set();
  listeners.set(topic, set.add(fn));
  return () => set.delete(fn);
}

export function emit(topic, value) {
  for (const fn of [...(listeners.get(topic) ?? [])]) {
    try {
      fn(value);
    } catch (error) {
      console.error(`A listener of "${topic}" failed`, error); // one broken view must not silence the phone
    }
  }
}
