//! Many tabs of one agent: all show a call, none keeps another from the gateway.

use std::time::Duration;

use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::browser::Browser;
use crate::people::{hire, sign_in_at};
use crate::world::{NINO, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ, hear_each_other, hear_plainly};

/// Over HTTP/1.1 a browser opens six connections to a gateway: with a stream each the seventh tab would wait for ever.
const TABS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn eight_tabs_show_a_call_in_which_the_gateway_dies_and_one_after_it_came_back() {
    let mut world = World::start().await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", "/").await;
    hear_plainly(&browser).await;
    browser.click("status-switch").await;
    let online = "return document.querySelector('[data-testid=status-switch]').getAttribute('aria-checked') === 'true'";
    browser.reads(online, true).await;
    let mut tabs = vec![browser.tab().await];
    while tabs.len() < TABS {
        tabs.push(browser.open_tab(&format!("{}/contacts", world.gateway.base)).await);
        browser.appears("contact-row").await;
    }
    for dies in [true, false] {
        let hums = Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)));
        let phone = world.wa.call(InboundCall::from(NINO).step(hums)).await.unwrap();
        for tab in &tabs {
            browser.turn_to(tab).await;
            browser.shows("popup-name", "Nino Beridze").await;
        }
        browser.click("popup-accept").await;
        phone.answered(SOON).await.unwrap();
        for tab in &tabs {
            browser.turn_to(tab).await;
            browser.vanishes("popup-accept").await;
            browser.appears("call-panel").await;
        }
        browser.turn_to(&tabs[0]).await;
        hear_each_other(&world, &browser, &phone).await;
        // Another tab says where the sound is, and shows how loud it is.
        browser.turn_to(&tabs[1]).await;
        world.until("it says so", async || browser.text("call-quality").await == "Sound plays in another tab").await;
        let loud = "return Math.min(...[...document.querySelectorAll('.call-sound .meter-fill')].map((bar) => parseInt(bar.style.getPropertyValue('--level')) || 0)) > 20";
        browser.reads(loud, true).await;
        browser.turn_to(&tabs[0]).await;
        if dies {
            world.gateway.kill().await;
            browser.says("call-alarm", "This browser has lost the gateway").await;
            browser.shows("recording-light", "Not known whether it is recorded").await;
            let buttons = "return document.querySelectorAll('[data-testid=call-alarm] button').length";
            browser.reads(buttons, 0).await;
            world.kill_and_restart_in_place().await;
            for tab in &tabs {
                browser.turn_to(tab).await;
                browser.reads("return __tandem.link", "live").await;
                browser.vanishes("call-panel").await;
            }
        } else {
            browser.click("call-hangup").await;
        }
        phone.ended(SOON).await.unwrap();
    }
    browser.quit().await;
}
