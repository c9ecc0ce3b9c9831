//! People, teams, roles and the own account: who manages sees and changes them, and everybody else finds nothing of it.

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::InboundCall;

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::people::{PASSWORD, hire, invitation, sign_in_at, type_password};
use crate::world::{NINO, SOON, World};

async fn owner_at(world: &World, path: &str) -> Browser {
    hire(world, "agt_o", "Olga Owner", "owner").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(world, &browser, "agt_o", path).await;
    browser
}

async fn go(world: &World, browser: &Browser, path: &str) {
    browser.open(&format!("{}{path}", world.gateway.base)).await;
}

async fn choose(browser: &Browser, test_id: &str, value: &str) {
    browser.appears(test_id).await;
    browser
        .run(&format!(
            "const field = document.querySelector('[data-testid={test_id}]'); field.value = '{value}'; \
             field.dispatchEvent(new Event('change', {{ bubbles: true }}));"
        ))
        .await;
}

/// What the page's own session is answered.
async fn asks(browser: &Browser, method: &str, path: &str, body: &str) -> Value {
    let script = format!(
        "const ask = new XMLHttpRequest(); ask.open('{method}', '/v1/{path}', false); \
         ask.setRequestHeader('Content-Type', 'application/json'); ask.send({body}); return ask.status;"
    );
    browser.run(&script).await
}

/// The pages that there is a way to.
const LINKS: &str = "return [...document.querySelectorAll('.nav a')].map((a) => a.textContent).join(' ')";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_added_comes_in_by_the_link_and_gets_pages_while_it_watches() {
    let world = World::start().await;
    let owner = owner_at(&world, "/").await;
    owner.click("settings-link").await;
    owner.click_css("main a[href='/settings/people']").await;
    owner.click("person-new").await;
    for (name, email, told) in [
        ("", "", "Write the name"),
        ("Nana", "nana", "no e-mail address"),
        ("Nana", "AGT_O@example.com", "signs in with this address"),
    ] {
        owner.fill("person-name", name).await;
        owner.fill("person-email", email).await;
        owner.click("person-save").await;
        owner.says("person-trouble", told).await;
    }
    owner.looks_good("person-new").await;
    owner.fill("person-email", "nana@example.com").await;
    choose(&owner, "person-team", "team_a").await;
    owner.run("navigator.clipboard.writeText = async () => { throw new Error('not allowed'); }").await;
    owner.click("person-save").await;
    let link = owner.appears("invite-link").await.prop("value").await.unwrap().unwrap();
    assert!(link.starts_with(&format!("{}/welcome#invitation=ti_", world.gateway.base)), "{link}");
    owner.click("invite-copy").await;
    owner.says("invite-told", "press Ctrl+C").await;
    owner.run("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }").await;
    owner.click("invite-copy").await;
    owner.says("invite-told", "Copied").await;
    assert_eq!(owner.run("return globalThis.copied").await, json!(link));
    owner.looks_good("person-link").await;
    owner.click("invite-done").await;
    owner.says("person-title", "Nana").await;
    owner.says("person-invite", "Invitation link").await;

    let nana = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    nana.open(&link).await;
    nana.fill("sign-in-password", PASSWORD).await;
    nana.fill("sign-in-again", PASSWORD).await;
    nana.click("sign-in-submit").await;
    nana.appears("status-switch").await;
    nana.reads(LINKS, "Home Calls Contacts Analytics Devices").await;
    assert!(!nana.is_there("settings-link").await);
    owner.says("person-invite", "Link for a new password").await;
    nana.run("globalThis.sameDocument = true").await;

    // Each switch by a click of the owner, seen by Nana without one of hers.
    owner.click("person-configure").await;
    owner.click("person-save").await;
    nana.appears("settings-link").await;
    nana.says("toast", "Your access was changed").await;
    nana.click_css("[data-testid=toast] button").await;
    nana.click("settings-link").await;
    let hub = "return [...document.querySelectorAll('main a strong')].map((a) => a.textContent).join(' ')";
    world.until("the hub", async || nana.run(hub).await == json!("Channel Settings Routing")).await;
    owner.click("person-configure").await;
    owner.click("person-all-calls").await;
    owner.click("person-save").await;
    nana.vanishes("settings-link").await;
    world
        .until("the open page is shut, too", async || {
            nana.run("return document.querySelector('main h1')?.textContent").await == json!("Not for your role")
        })
        .await;
    world.until("saved", async || owner.text("person-may").await.contains("everybody’s")).await;
    choose(&owner, "person-role", "owner").await;
    owner.click("person-save").await;
    nana.reads(LINKS, "Home Live Calls Contacts Analytics Wallet Devices More").await;
    choose(&owner, "person-role", "teammate").await;
    owner.click("person-save").await;
    nana.reads(LINKS, "Home Live Calls Contacts Analytics Devices More").await;
    assert_eq!(nana.run("return globalThis.sameDocument").await, json!(true), "nothing was loaded anew");

    // Who has no access any more is out at once, and knows why.
    owner.click("person-take-access").await;
    owner.looks_good("person-confirm").await;
    owner.click("confirm-yes").await;
    nana.appears("sign-in-login").await;
    let message = "return document.getElementById('sign-in-message').textContent";
    let told = async |part: &str| nana.run(message).await.as_str().is_some_and(|told| told.contains(part));
    world.until("why is said", async || told("access was withdrawn").await).await;
    type_password(&nana, "nana@example.com", PASSWORD).await;
    world.until("the password is void", async || told("wrong").await).await;
    owner.vanishes("person-take-access").await;
    for browser in [owner, nana] {
        assert_eq!(browser.errors().await, Vec::<String>::new());
        browser.quit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_people_is_live_narrowed_and_ends_with_somebody_leaving() {
    let world = World::start().await;
    world.put("teams/team_b", json!({"name": "Team B"})).await;
    hire(&world, "agt_l", "Lia Lead", "sales_lead").await;
    let ana = world.agent_offline("agt_a").await;
    world.put("agents/agt_a", json!({"name": "Ana Agent", "email": "ana@example.com"})).await;
    world.put("agents/agt_x", json!({"name": "Xenia", "role": "admin", "team_id": "team_b", "excluded": true})).await;
    world.nino_of("agt_a").await;
    let browser = owner_at(&world, "/settings/people").await;
    let names = async || {
        let script = "return [...document.querySelectorAll('[data-testid=person-row] .who a')].map((a) => a.textContent).join(', ')";
        browser.run(script).await.as_str().unwrap().to_owned()
    };
    let shows = async |want: &str| world.until(want, async || names().await == want).await;
    shows("Ana Agent, Lia Lead, Olga Owner, Xenia").await;
    browser.has("[data-agent-id=agt_a]", "data-status", "offline").await;
    ana.go_online().await.unwrap();
    browser.has("[data-agent-id=agt_a]", "data-status", "online").await;
    browser.looks_good("people").await;
    browser.fill("people-search", "ANA@").await;
    shows("Ana Agent").await;
    browser.fill("people-search", "").await;
    choose(&browser, "people-team", "team_b").await;
    shows("Xenia").await;
    choose(&browser, "people-role", "owner").await;
    shows("").await;
    browser.reload().await;
    browser.appears("people-role").await;
    shows("").await;
    choose(&browser, "people-role", "").await;
    choose(&browser, "people-team", "").await;

    // The last owner is told why he stays one.
    browser.click_css("a[href='/settings/people/agt_o']").await;
    choose(&browser, "person-role", "teammate").await;
    browser.click("person-save").await;
    browser.says("person-trouble", "is the last one who manages agents").await;
    assert!(!browser.is_there("person-remove").await && !browser.is_there("person-take-access").await);

    go(&world, &browser, "/settings/people/agt_a").await;
    browser.looks_good("person").await;
    // In a call nobody is removed.
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = ana.next_offer(SOON).await.unwrap();
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    let busy = "return document.querySelector('.chip[data-live]')?.textContent ?? ''";
    world.until("the call is seen", async || browser.run(busy).await == json!("In a call")).await;
    browser.click("person-remove").await;
    browser.click("confirm-yes").await;
    browser.says("confirm", "is in a call").await;
    browser.click("confirm-no").await;
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.newest_call("it is over", |call| call["state"] == "ended").await;
    world.settled(call["id"].as_str().unwrap()).await;
    world.until("the call's end is seen", async || browser.run(busy).await == json!("")).await;

    browser.click("person-offline").await;
    world.until("she is sent home", async || world.get("agents/agt_a").await["status"] == "offline").await;
    browser.vanishes("person-offline").await;
    browser.click("person-remove").await;
    choose(&browser, "person-heir", "agt_l").await;
    browser.looks_good("person-remove").await;
    browser.click("confirm-yes").await;
    shows("Lia Lead, Olga Owner, Xenia").await;
    world
        .until("Nino is Lia's", async || world.get(&format!("contacts/wa:{NINO}")).await["assignee_id"] == "agt_l")
        .await;
    go(&world, &browser, "/calls").await;
    let agent = "return document.querySelector('[data-testid=call-row]')?.children[4]?.textContent";
    world.until("her call keeps her name", async || browser.run(agent).await == json!("Ana Agent")).await;
    go(&world, &browser, "/settings/people/agt_a").await;
    browser.says("person-title", "Ana Agent").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_are_made_and_filled_and_the_excluded_ring_only_for_their_own_customers() {
    let world = World::start().await;
    let (ana, beka) = (world.agent("agt_a").await, world.agent("agt_b").await);
    let browser = owner_at(&world, "/settings/teams").await;
    browser.click("team-new").await;
    browser.click("team-save").await;
    world
        .until("a name is asked for", async || {
            browser.run("return document.getElementById('team-name-wrong').textContent").await != json!("")
        })
        .await;
    browser.fill("team-name", "Night shift").await;
    browser.click("team-save").await;
    browser.vanishes("team-dialog").await;
    let teams = "return [...document.querySelectorAll('[data-testid=team] h2')].map((h) => h.textContent).join(', ')";
    world.until("the team is there", async || browser.run(teams).await == json!("Night shift, Team A")).await;
    let items = world.get("teams").await["items"].as_array().unwrap().clone();
    let night = items.iter().find(|team| team["name"] == "Night shift").unwrap()["id"].as_str().unwrap().to_owned();
    browser
        .run(&format!(
            "const select = document.querySelector('[data-keep=move-agt_b]'); select.value = '{night}'; select.dispatchEvent(new Event('change'));"
        ))
        .await;
    world.until("Beka is moved", async || world.get("agents/agt_b").await["team_id"] == night.as_str()).await;
    let members = format!("return document.querySelector(`[data-team-id='{night}'] .who a`)?.textContent");
    world.until("and is seen there", async || browser.run(&members).await == json!("agt_b")).await;

    // By keys alone.
    browser.click("exclude-add").await;
    browser.press("agt_a").await;
    world
        .until("Ana is found", async || {
            browser.run("return document.querySelectorAll('[data-testid=exclude-option]').length").await == json!(1)
        })
        .await;
    browser.looks_good("teams-typing").await;
    browser.click("exclude-add").await;
    browser.press(thirtyfour::Key::Down + thirtyfour::Key::Enter).await;
    world.until("Ana is excluded", async || world.get("agents/agt_a").await["excluded"] == true).await;
    browser.find("[data-testid=excluded] [data-agent-id=agt_a]").await;
    browser.looks_good("teams").await;

    // The round robin has Beka alone: whom it rings next when she refuses is nobody.
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    beka.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.newest_call("missed", |call| call["state"] == "ended").await;
    let offered: Vec<_> = call["offers"].as_array().unwrap().iter().map(|offer| &offer["agent_id"]).collect();
    assert_eq!(offered, ["agt_b"]);
    // Her own customer rings at her all the same.
    world.put(&format!("contacts/wa:{NINO}"), json!({"assignee_id": "agt_a"})).await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    ana.next_offer(SOON).await.unwrap().reject().await.unwrap();
    beka.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();

    browser.click("exclude-remove").await;
    world.until("and is back", async || world.get("agents/agt_a").await["excluded"] == false).await;

    // A team is deleted once its people are somewhere else.
    // A toast may lie over the button.
    browser.run("document.querySelector('[data-team-id=team_a] [data-testid=team-delete]').click()").await;
    browser.appears("confirm-yes").await;
    browser.looks_good("team-delete").await;
    browser.click("confirm-yes").await;
    browser.vanishes("confirm").await;
    let gone = "return document.querySelectorAll('[data-team-id=team_a]').length";
    world.until("the team is gone", async || browser.run(gone).await == json!(0)).await;
    assert_eq!(world.get("agents/agt_a").await["team_id"], json!(null));
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_manage_finds_none_of_it_and_is_refused() {
    let world = World::start().await;
    world.put("agents/agt_x", json!({"name": "Xenia", "role": "teammate"})).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    for role in ["sales_lead", "admin", "teammate"] {
        let id = format!("agt_{role}");
        hire(&world, &id, role, role).await;
        // With both switches: they open call settings and lists, and nothing of this.
        let switches = json!({"switches": {"configure_calls": true, "all_calls": true}});
        world.put(&format!("agents/{id}"), switches).await;
        sign_in_at(&world, &browser, &id, "/settings").await;
        let hub = "return [...document.querySelectorAll('main a strong')].map((a) => a.textContent).join(' ')";
        world.until(role, async || browser.run(hub).await == json!("Channel Settings Routing")).await;
        for path in ["people", "people/new", "people/agt_x", "teams", "roles"] {
            go(&world, &browser, &format!("/settings/{path}")).await;
            let page = "return document.querySelector('main')?.textContent ?? ''";
            let shown = async || browser.run(page).await.as_str().unwrap().to_owned();
            world.until(path, async || shown().await.contains("does not manage people")).await;
            assert!(!shown().await.contains("Xenia"), "{role} {path}");
        }
        for (method, path, body, status) in [
            ("PUT", "agents/agt_x", "'{\"role\": \"owner\"}'", 404),
            ("PUT", &*format!("agents/{id}"), "'{\"role\": \"owner\"}'", 403),
            ("POST", "agents/agt_x/invitations", "'{}'", 404),
            ("DELETE", "agents/agt_x/password", "null", 404),
            ("DELETE", "agents/agt_x", "null", 404),
            ("PUT", "agents/agt_x/status", "'{\"status\": \"offline\"}'", 404),
            ("PUT", "teams/team_a", "'{\"name\": \"Ours\"}'", 403),
        ] {
            assert_eq!(asks(&browser, method, path, body).await, json!(status), "{role} {method} {path}");
        }
        browser.click("sign-out").await;
        browser.appears("sign-in-login").await;
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_page_shows_the_rules_that_decide() {
    let world = World::start().await;
    let browser = owner_at(&world, "/settings/roles").await;
    browser.appears("roles").await;
    let cell = async |deed: &str, role: &str| {
        let script = format!(
            "const row = [...document.querySelectorAll('[data-testid=roles] tbody tr')].find((tr) => tr.firstChild.textContent.startsWith('{deed}')); \
             return row.querySelector('[data-role={role}]').innerText.replaceAll('\\n', ' ').trim()"
        );
        browser.run(&script).await.as_str().unwrap().to_owned()
    };
    assert_eq!(cell("See calls", "owner").await, "Everybody’s");
    assert_eq!(cell("See calls", "sales_lead").await, "Own team’s With “All calls”: everybody’s");
    assert_eq!(cell("Configure calls", "teammate").await, "– No With “configure”: yes");
    let served = world.get("access").await;
    let rows = "return document.querySelectorAll('[data-testid=roles] tbody tr').length";
    browser.reads(rows, served["items"].as_array().unwrap().len()).await;
    browser.says("roles-source", served["policy_pack"].as_str().unwrap()).await;
    browser.says("switches", "“Allow access to Call Management section (All calls)”").await;
    browser.looks_good("roles").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_changes_the_own_password_and_signs_out_elsewhere() {
    let world = World::start().await;
    hire(&world, "agt_a", "Ana Agent", "teammate").await;
    let (here, there) =
        tokio::join!(Browser::start(world.dir.path(), MICROPHONE_HZ), Browser::start(world.dir.path(), MICROPHONE_HZ));
    sign_in_at(&world, &there, "agt_a", "/").await;
    sign_in_at(&world, &here, "agt_a", "/").await;
    here.click("account-link").await;
    here.says("account-may", "See calls, their recordings and exports").await;
    here.says("account-keys", "Alt+Shift+M").await;
    let ends = "return document.querySelectorAll('[data-testid=device-end]').length";
    world
        .until("this browser, the other and the one that was hired with", async || here.run(ends).await == json!(2))
        .await;
    for (current, new, again, told) in [
        ("", "", "", "current password"),
        ("not this one", "another good one", "another good one", "not your password"),
        (PASSWORD, "short", "short", "At least 10 characters"),
        (PASSWORD, "another good one", "another one", "not the same"),
    ] {
        here.fill("password-current", current).await;
        here.fill("password-new", new).await;
        here.fill("password-again", again).await;
        here.click("password-save").await;
        here.says("password-told", told).await;
    }
    here.looks_good("account").await;
    here.fill("password-again", "another good one").await;
    here.click("password-save").await;
    here.says("password-told", "Changed").await;
    world.until("no other browser is left", async || here.run(ends).await == json!(0)).await;
    there.reload().await;
    there.appears("sign-in-login").await;
    type_password(&there, "agt_a@example.com", PASSWORD).await;
    let message = "return document.getElementById('sign-in-message').textContent";
    world.until("the old one is void", async || there.run(message).await.as_str().unwrap().contains("wrong")).await;
    type_password(&there, "agt_a@example.com", "another good one").await;
    there.appears("status-switch").await;

    here.reload().await;
    here.click("device-end").await;
    world.until("signed out there", async || here.run(ends).await == json!(0)).await;
    there.appears("sign-in-login").await;
    here.click("theme-dark").await;
    here.reads("return document.documentElement.dataset.theme", "dark").await;
    here.click("account-everywhere").await;
    here.click("confirm-yes").await;
    here.appears("sign-in-login").await;
    // Who was invited anew meanwhile is not kept out.
    let link = invitation(&world, "agt_a").await;
    here.open("about:blank").await;
    here.open(&link).await;
    here.appears("sign-in-again").await;
    for browser in [here, there] {
        assert_eq!(browser.errors().await, Vec::<String>::new());
        browser.quit().await;
    }
}
