//! How a page looks: on a desk and on a phone, in light and in dark, to people and to those who cannot see it.

use std::path::Path;

use serde_json::{Value, json};

use super::Browser;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 1280×720
    Desk,
    /// 390×844, with fingers for a mouse
    Phone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Browser {
    /// Looks at the page in this size and with a system of this theme, from now on.
    pub(crate) async fn look(&self, size: Size, theme: Theme) {
        *self.looks.lock().unwrap() = (size, theme);
        let (width, height, is_phone) = match size {
            Size::Desk => (1280, 720, false),
            Size::Phone => (390, 844, true),
        };
        self.resize(width, height, is_phone).await;
        let scheme = if theme == Theme::Dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    async fn resize(&self, width: u32, height: u32, is_phone: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Keeps a picture for people to look at.
    pub(crate) async fn screenshot(&self, name: &str) {
        self.driver.screenshot(&self.shots.join(format!("{name}.png"))).await.unwrap();
    }

    /// In both sizes and both themes: keeps a picture, asks for [`Self::accessible`], and that nothing sticks out at the
    /// side. Then looks as before.
    pub(crate) async fn looks_good(&self, name: &str) {
        let before = *self.looks.lock().unwrap();
        for (size, theme, suffix) in [
            (Size::Desk, Theme::Light, "desk-light"),
            (Size::Desk, Theme::Dark, "desk-dark"),
            (Size::Phone, Theme::Light, "phone-light"),
            (Size::Phone, Theme::Dark, "phone-dark"),
        ] {
            self.look(size, theme).await;
            self.at_rest().await;
            let name = format!("{name}-{suffix}");
            self.screenshot(&name).await;
            self.fits(&name).await;
            self.accessible(&name).await;
        }
        self.look(before.0, before.1).await;
    }

    /// On a desk's screen at 200 % and on the narrowest phone: keeps a picture, asserts that nothing sticks out, that all
    /// buttons in `part` can be scrolled to and pressed with their words whole, and these without scrolling. Then looks as
    /// before.
    pub(crate) async fn fits_when_small(&self, name: &str, part: &str, at_hand: &[&str]) {
        let before = *self.looks.lock().unwrap();
        for (width, height) in [(640, 360), (320, 640)] {
            self.resize(width, height, false).await;
            self.at_rest().await;
            let name = format!("{name}-{width}x{height}");
            self.screenshot(&name).await;
            self.fits(&name).await;
            let hits = "const hits = (button) => {
                  const { left, top, right, bottom } = button.getBoundingClientRect();
                  return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight
                    && button.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
                };
                const said = (button) => button.dataset.testid ?? button.textContent;";
            let out_of_hand = format!(
                "{hits} return {}.map((id) => document.querySelector(`[data-testid=${{id}}]`)).filter((button) => !hits(button)).map(said)",
                json!(at_hand)
            );
            assert_eq!(self.run(&out_of_hand).await, json!([]), "{name}: not at hand");
            let out_of_reach = format!(
                "{hits} return [...document.querySelectorAll('{part}')].filter((button) => button.checkVisibility()).filter((button) => {{
                  button.scrollIntoView({{ block: 'nearest' }});
                  return !hits(button) || button.scrollWidth > button.clientWidth || button.scrollHeight > button.clientHeight;
                }}).map(said)"
            );
            assert_eq!(self.run(&out_of_reach).await, json!([]), "{name}: covered or cut off");
        }
        self.look(before.0, before.1).await;
    }

    /// Nothing scrolls but the page, and that up and down alone.
    pub(crate) async fn fits(&self, name: &str) {
        let too_wide = "const view = document.getElementById('view') ?? document.body; return Math.max(document.scrollingElement.scrollWidth - innerWidth, view.scrollWidth - view.clientWidth)";
        assert!(self.run(too_wide).await.as_f64().unwrap() <= 0.0, "{name}: the page scrolls sideways");
        let too_high =
            "return document.querySelector('.shell') ? document.scrollingElement.scrollHeight - innerHeight : 0";
        assert!(self.run(too_high).await.as_f64().unwrap() <= 0.0, "{name}: the frame scrolls, not the page in it");
    }

    /// Asserts that axe finds nothing serious or critical in what is shown.
    pub(crate) async fn accessible(&self, what: &str) {
        let found = self.barriers().await;
        assert!(found.is_empty(), "{what}: axe found\n{}", found.join("\n"));
    }

    /// What axe calls serious or critical.
    pub(crate) async fn barriers(&self) -> Vec<String> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/axe.min.js");
        let axe = std::fs::read_to_string(file).expect("axe is fetched by `make setup-test`");
        if self.run("return !globalThis.axe").await == json!(true) {
            self.run(&axe).await;
        }
        let found = self
            .run_async(
                r"axe.run(document, { resultTypes: ['violations'] }).then(
                    ({ violations }) => done(violations
                      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
                      .flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) =>
                        `${id} (${help}) at ${target.join(' ')}: ${failureSummary}`))),
                    (error) => done([`axe failed: ${error}`]))",
            )
            .await;
        serde_json::from_value(found).unwrap()
    }

    /// Waits until fonts are there and nothing moves but what moves for ever.
    async fn at_rest(&self) {
        self.run_async(
            r"const finite = document.getAnimations().filter((animation) => animation.effect.getComputedTiming().endTime !== Infinity);
              Promise.allSettled([document.fonts.ready, ...finite.map(({ finished }) => finished)])
                .then(() => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))",
        )
        .await;
    }

    /// What the browser's own tools answer.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(command, parameters).await.unwrap()
    }
}
