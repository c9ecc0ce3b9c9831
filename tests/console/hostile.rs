//! Names and notes that would like to be markup.

use serde_json::json;
use tandem_loadtest::whatsapp::InboundCall;

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::sign_in;
use crate::world::{NINO, SOON, World};

const NAMES: usize = 500;

/// What tells that a script ran: each of these would set it.
const RAN: &str = "return String(window.ran)";

const TRICKS: [&str; 10] = [
    "<script>window.ran=N</script>",
    "<img src=x onerror=window.ran=N>",
    "\"><svg/onload=window.ran=N>",
    "javascript:window.ran=N",
    "</title></textarea><iframe srcdoc='<script>parent.ran=N</script>'>",
    "{{constructor.constructor('window.ran=N')()}}",
    "' autofocus onfocus=window.ran=N x='",
    "<math><mi xlink:href=\"data:x,<script>window.ran=N</script>\">",
    "<b>N</b>&lt;script&gt;window.ran=N&lt;/script&gt;",
    "<a href=\"javascript:window.ran=N\">Nino N</a>",
];

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_hostile_names_are_shown_as_they_are_and_run_nothing() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    let name = |n: usize| TRICKS[n % TRICKS.len()].replace('N', &n.to_string());
    for n in 0..NAMES {
        let contact = json!({"name": name(n), "assignee_id": "agt_a"});
        world.put(&format!("contacts/wa:9955551{n:05}"), contact).await;
    }
    world.put(&format!("contacts/wa:{NINO}"), json!({"name": name(1), "assignee_id": "agt_a"})).await;
    world.post(&format!("contacts/wa:{NINO}/notes"), json!({"text": TRICKS.join("\n")})).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;

    let phone = world.wa.call(InboundCall::from(NINO).named(&name(2))).await.unwrap();
    assert_eq!(browser.text("popup-name").await, name(1));
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    browser.click("call-hangup").await;
    browser.appears("toast").await;

    let base = &world.gateway.base;
    let nino = world.get(&format!("contacts/wa:{NINO}")).await["id"].as_str().unwrap().to_owned();
    for path in ["/contacts", &format!("/contacts/{nino}"), "/calls", "/calls?section=missed", "/", "/analytics"] {
        browser.open(&format!("{base}{path}")).await;
        browser.appears("status-switch").await;
        if path == "/contacts" {
            let seen = "return document.querySelectorAll('#view tbody tr').length";
            // Page after page, to the last.
            world
                .until("all are listed", async || {
                    let more = "[...document.querySelectorAll('#view button')].find((b) => /more/i.test(b.textContent) && !b.hidden)";
                    browser.run(&format!("{more}?.click(); {seen}")).await.as_u64() >= Some(NAMES as u64)
                })
                .await;
            let text = browser.run("return document.getElementById('view').textContent").await;
            let text = text.as_str().unwrap();
            for n in 0..NAMES {
                assert!(text.contains(&name(n)), "{n}: {}", name(n));
            }
        }
        assert_eq!(browser.run(RAN).await, json!("undefined"), "{path}");
    }
    assert_eq!(browser.errors().await, Vec::<String>::new(), "nor was a script refused");
    browser.quit().await;
}
