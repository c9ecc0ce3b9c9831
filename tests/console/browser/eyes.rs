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
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}),
        )
        .await;
        let scheme = if theme == Theme::Dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
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
            let too_high =
                "return document.querySelector('.shell') ? document.scrollingElement.scrollHeight - innerHeight : 0";
            assert!(self.run(too_high).await.as_f64().unwrap() <= 0.0, "{name}: the frame scrolls, not the page in it");
            self.accessible(&name).await;
        }
        self.look(before.0, before.1).await;
    }

    /// Asserts that the page, as it is looked at, does not scroll sideways.
    pub(crate) async fn fits(&self, what: &str) {
        let too_wide = "const view = document.getElementById('view') ?? document.body; return Math.max(document.scrollingElement.scrollWidth - innerWidth, view.scrollWidth - view.clientWidth)";
        assert!(self.run(too_wide).await.as_f64().unwrap() <= 0.0, "{what}: the page scrolls sideways");
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
