//! Stories of the books: a day of calls beside WhatsApp's own count of it.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{Action, GraphFault, InboundCall, Script};

use crate::world::{NINO, NUMBER, SOON, World};

const DAY: Duration = Duration::from_secs(24 * 3600);
const LIST: &str = "wallet/reconciliations";

impl World {
    /// Statements for the gateway's database. It must not run: nobody writes behind its back.
    async fn administer(&self, statements: &[String]) {
        use sqlx::{Connection, Executor};
        sqlx::any::install_default_drivers();
        let sqlite = || format!("sqlite://{}", self.dir.path().join("data/tandem.sqlite3").display());
        let url = self.database.as_ref().map_or_else(sqlite, |database| database.url());
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        for sql in statements {
            connection.execute(sqlx::AssertSqlSafe(sql.clone())).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// Kills the gateway, lets it be so much later for both sides' books, and starts it again.
    async fn a_day_passes(&mut self, and_also: &[String]) {
        self.gateway.kill().await;
        self.wa.date_calls_back(DAY);
        let back = |table: &str, column: &str| format!("UPDATE {table} SET {column} = {column} - {}", DAY.as_millis());
        let mut statements = vec![
            back("calls", "created_at"),
            back("calls", "answered_at"),
            back("calls", "ended_at"),
            back("business_accounts", "learnt_at"),
        ];
        statements.extend_from_slice(and_also);
        self.administer(&statements).await;
        self.restart().await;
    }

    async fn events_about(&self, start: &str) -> Vec<Value> {
        let events = self.get("events?after=0&limit=200").await["items"].as_array().unwrap().clone();
        events.into_iter().filter(|event| event["type"].as_str().unwrap().starts_with(start)).collect()
    }
}

/// One call out and one in, of two seconds and more.
async fn two_calls(world: &World) {
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(2)), ..Script::default() });
    let talk = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.until("the call is charged", async || !world.call(&talk.call_id).await["charge"].is_null()).await;
    let call = world.wa.call(InboundCall::from(NINO).hangs_up_after(Duration::from_secs(2))).await.unwrap();
    ana.next_offer(SOON).await.unwrap().accept().await.unwrap();
    call.ended(SOON).await.unwrap();
    world.until("it is in the books", async || world.calls().await.iter().all(|call| call["state"] == "ended")).await;
}

on_both!(a_day_agrees_with_whatsapps_count_and_a_planted_difference_is_told_and_stays_told);
async fn a_day_agrees_with_whatsapps_count_and_a_planted_difference_is_told_and_stays_told(mut world: World) {
    two_calls(&world).await;
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let waba = world.wa.config().account_id.clone();
    let ask = |day: &str| Some(json!({"waba_id": waba, "day": day}));
    let early = world.gateway.request("POST", LIST, ask(&today)).await.problem(422, "invalid_field");
    assert!(early["detail"].as_str().unwrap().contains("is not over"), "{early}");
    assert_eq!(world.get(LIST).await["accounts"][0]["waba_id"], json!(waba), "learnt from the webhooks");

    // Due at the start: the night's comparison runs by itself.
    world.a_day_passes(&["UPDATE business_accounts SET compare_at = 0".to_owned()]).await;
    world.until("the night has passed", async || !world.get(LIST).await["items"].as_array().unwrap().is_empty()).await;
    let day = world.get(LIST).await["items"][0].clone();
    assert_eq!((&day["agrees"], &day["outbound"]["differences"]), (&json!(true), &json!([])), "{day}");
    let both =
        |side: &str| [&day[side]["ours"]["calls"], &day[side]["theirs"]["calls"]].map(|calls| calls.as_i64().unwrap());
    assert_eq!((both("outbound"), both("inbound")), ([1, 1], [1, 1]), "{day}");
    let charged = day["outbound"]["ours"]["cost_micros"].as_i64().unwrap();
    assert!(charged > 0 && day["outbound"]["theirs"]["cost_micros"] == charged, "{day}");
    assert_eq!(world.events_about("wallet.reconciliation").await, Vec::<Value>::new(), "agreement is no news");

    // Our books lose half a pulse and gain ten seconds of that call.
    let name = day["day"].as_str().unwrap();
    world.gateway.kill().await;
    let lost = "UPDATE calls SET charge_micros = charge_micros - 500, duration_ms = duration_ms + 10000 \
        WHERE direction = 'business_initiated'";
    world.administer(&[lost.to_owned()]).await;
    world.restart().await;
    let before = world.get("wallet").await;
    let report = world.gateway.request("POST", LIST, ask(name)).await.ok();
    assert_eq!((&report["day"], &report["agrees"]), (&day["day"], &json!(false)), "{report}");
    assert_eq!(report["outbound"]["differences"], json!(["duration", "cost"]), "{report}");
    assert_eq!(report["outbound"]["ours"]["cost_micros"], charged - 500);
    assert_eq!(report["outbound"]["theirs"], day["outbound"]["theirs"]);
    let told = world.events_about("wallet.reconciliation_differs").await;
    assert_eq!((told.len(), &told[0]["data"]), (1, &report));
    assert_eq!(world.get("wallet").await, before, "a difference is shown, and nothing is booked");
    assert!(world.gateway.metric("tandem_reconciliations_total").await >= 1.0);

    world.kill_and_restart().await;
    assert_eq!(world.get(LIST).await["items"][0], report, "still there");
}

#[tokio::test]
async fn a_count_that_whatsapp_does_not_give_is_told_and_asked_for_again() {
    let mut world = World::start().await;
    two_calls(&world).await;
    let waba = world.wa.config().account_id.clone();
    let stranger = json!({"waba_id": "999", "day": "2026-01-01"});
    world.gateway.request("POST", LIST, Some(stranger)).await.problem(404, "not_found");
    // Four tries each.
    world.wa.fail_next(Action::Analytics, 8, GraphFault::Error(613));
    let ask = Some(json!({"waba_id": waba, "day": "2026-01-01"}));
    let refused = world.gateway.request("POST", LIST, ask).await.problem(502, "upstream_refused");
    assert_eq!(refused["upstream_code"], 613);
    let due = "UPDATE business_accounts SET compare_at = 0".to_owned();
    world.a_day_passes(std::slice::from_ref(&due)).await;
    let account = async || world.get(LIST).await["accounts"][0].clone();
    world.until("the failure is told", async || account().await["failures"] == 1).await;
    let failed = account().await;
    assert!(failed["error"].as_str().unwrap().contains("too often"), "{failed}");
    let next: jiff::Timestamp = failed["compare_at"].as_str().unwrap().parse().unwrap();
    let minutes = next.duration_since(jiff::Timestamp::now()).as_secs_f64() / 60.0;
    assert!((4.0..=5.0).contains(&minutes), "asked again in five minutes: {failed}");
    assert_eq!(world.get(LIST).await["items"], json!([]));

    world.gateway.kill().await;
    world.administer(&[due]).await;
    world.restart().await;
    world.until("the next one works", async || world.get(LIST).await["accounts"][0]["failures"] == 0).await;
    let days = world.get(LIST).await["items"].clone();
    assert_eq!((&days[0]["agrees"], days.as_array().unwrap().len()), (&json!(true), 1), "{days}");
}
