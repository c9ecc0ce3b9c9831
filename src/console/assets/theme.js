// The theme switch: "auto" follows the system, "light" and "dark" overrule it.
// A classic script on purpose: it must have run before the first paint.
(() => {
  const KEY = 'tandem.theme';
  const CHOICES = ['auto', 'light', 'dark'];

  const read = () => {
    try {
      const kept = localStorage.getItem(KEY);
      return CHOICES.includes(kept) ? kept : 'auto';
    } catch {
      return 'auto'; // storage may be forbidden: then the system decides
    }
  };

  const apply = (choice) => {
    document.documentElement.dataset.theme = choice;
    dispatchEvent(new CustomEvent('tandem:theme', { detail: choice }));
  };

  const choose = (choice) => {
    try {
      localStorage.setItem(KEY, choice);
    } catch { /* the choice lives as long as the page */ }
    apply(choice);
  };

  apply(read());
  globalThis.tandemTheme = Object.freeze({ read, choose, CHOICES });
})();
