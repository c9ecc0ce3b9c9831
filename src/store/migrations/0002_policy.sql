-- One text for SQLite and PostgreSQL: BIGINT (milliseconds, counts, micros), SMALLINT (0 or 1), TEXT (ids, words, JSON).

-- What was said and done between a number and a customer. The state in `permissions` is their fold and can be made anew.
CREATE TABLE permission_events (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    -- The same for every report of the same thing; a later report replaces it.
    key TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    -- The pack in force when it was first taken in, by whose numbers it counts; '' = taken in before packs.
    pack TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (number_id, contact_id, key)
);
CREATE INDEX permission_events_by_contact ON permission_events (contact_id);
INSERT INTO permission_events (number_id, contact_id, key, at, body)
-- A temporary one is dated so that a week later is its end.
SELECT number_id, contact_id, 'before',
    CASE WHEN status IN ('temporary', 'expired') THEN COALESCE(expires_at - 604800000, decided_at) ELSE decided_at END,
    CASE status
    WHEN 'permanent' THEN '{"what":"granted","permanent":true,"expires_at":null,"source":"request","context":null}'
    WHEN 'temporary' THEN '{"what":"granted","permanent":false,"expires_at":null,"source":"request","context":null}'
    WHEN 'expired' THEN '{"what":"granted","permanent":false,"expires_at":null,"source":"request","context":null}'
    WHEN 'rejected' THEN '{"what":"declined","context":null}'
    ELSE '{"what":"revoked"}' END
FROM permissions WHERE status IN ('permanent', 'temporary', 'expired', 'rejected', 'revoked');

DROP TABLE permissions;
CREATE TABLE permissions (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    -- Counts writes: whoever folds begins by raising it, which locks the row.
    revision BIGINT NOT NULL,
    -- The fold, as JSON; '' = to be folded anew.
    state TEXT NOT NULL,
    -- When it last changed; lists show the latest first.
    touched_at BIGINT NOT NULL,
    -- When the clock alone will next change it; NULL = never.
    changes_at BIGINT,
    -- When WhatsApp's own books are to be asked next; NULL = not by itself.
    check_at BIGINT,
    -- Questions in a row that brought no answer.
    check_failures BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (number_id, contact_id)
);
CREATE INDEX permissions_by_contact ON permissions (contact_id);
CREATE INDEX permissions_by_change ON permissions (changes_at);
CREATE INDEX permissions_by_check ON permissions (number_id, check_at);
CREATE INDEX permissions_by_touch ON permissions (number_id, touched_at, contact_id);
INSERT INTO permissions (number_id, contact_id, revision, state, touched_at, changes_at)
SELECT number_id, contact_id, 0, '', at, at FROM permission_events;

-- When each customer last wrote, called or took our call: free-form messages are allowed for a day after.
CREATE TABLE service_windows (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    opened_at BIGINT NOT NULL,
    PRIMARY KEY (number_id, contact_id)
);
CREATE INDEX service_windows_by_contact ON service_windows (contact_id);

-- Outbound calls as the limits see them: one row each from the decision on.
CREATE TABLE dials (
    call_id TEXT NOT NULL PRIMARY KEY,
    number_id TEXT NOT NULL REFERENCES numbers (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    -- Gap-free within the number, so that the n-th newest is one look-up.
    position BIGINT NOT NULL,
    dialled_at BIGINT NOT NULL,
    connected_at BIGINT,
    -- 1 until the call has ended: it may still connect.
    in_flight SMALLINT NOT NULL,
    -- Held back from the wallet until the call is settled.
    reserved_micros BIGINT NOT NULL,
    -- The pack that allowed it.
    pack TEXT NOT NULL,
    UNIQUE (number_id, position)
);
CREATE INDEX dials_by_connection ON dials (number_id, connected_at);
CREATE INDEX dials_by_pair ON dials (number_id, contact_id, connected_at);
-- Both columns, so that it is preferred to the index of the whole history of the pair.
CREATE INDEX dials_in_flight ON dials (number_id, contact_id) WHERE in_flight = 1;
CREATE INDEX dials_reserved ON dials (call_id) WHERE reserved_micros > 0;

-- One row per number that dials: locked by every decision, holds its counts.
CREATE TABLE dial_counters (
    number_id TEXT NOT NULL PRIMARY KEY REFERENCES numbers (id),
    dialled BIGINT NOT NULL,
    in_flight BIGINT NOT NULL
);

-- The ledger: every transfer names the account it leaves and the one it enters, so the sum over all is always 0.
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    currency TEXT NOT NULL,
    balance_micros BIGINT NOT NULL,
    -- Of the balance, held back for running calls.
    reserved_micros BIGINT NOT NULL
);
CREATE TABLE transfers (
    id TEXT NOT NULL PRIMARY KEY,
    -- Whoever posts the same thing again meets the same key.
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    debit_account TEXT NOT NULL REFERENCES accounts (id),
    credit_account TEXT NOT NULL REFERENCES accounts (id),
    micros BIGINT NOT NULL CHECK (micros > 0),
    call_id TEXT,
    pulses BIGINT,
    -- How the price came about, as JSON: market, rate, tier, card.
    explanation TEXT NOT NULL,
    reference TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX transfers_by_age ON transfers (created_at, id);
CREATE INDEX transfers_by_call ON transfers (call_id);

-- What stands in the books for each call: reporting its end again changes nothing, a correction starts from here.
CREATE TABLE call_charges (
    call_id TEXT NOT NULL PRIMARY KEY,
    month TEXT NOT NULL,
    market TEXT NOT NULL,
    -- Pulses of the month before this call, which decided its tier.
    pulses_before BIGINT NOT NULL,
    pulses BIGINT NOT NULL,
    -- The price; what the transfers of the call come to.
    micros BIGINT NOT NULL,
    -- How many there are.
    transfers BIGINT NOT NULL
);

-- Pulses of the month in each market: they decide the volume tier.
CREATE TABLE usage (
    month TEXT NOT NULL,
    market TEXT NOT NULL,
    pulses BIGINT NOT NULL,
    PRIMARY KEY (month, market)
);

-- Rate cards that are or were in force: old charges stay explained. The newest import goes before files.
CREATE TABLE rate_cards (
    sha256 TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    -- NULL = it came as a file.
    imported_at BIGINT,
    csv TEXT NOT NULL
);

-- Packs that were in force: old decisions stay explained.
CREATE TABLE policy_packs (
    -- Its name and the start of its hash.
    id TEXT NOT NULL PRIMARY KEY,
    toml TEXT NOT NULL,
    first_used_at BIGINT NOT NULL
);

CREATE TABLE number_settings (
    number_id TEXT NOT NULL PRIMARY KEY REFERENCES numbers (id),
    revision BIGINT NOT NULL,
    -- As the business wishes, as JSON.
    wished TEXT NOT NULL,
    -- The settings that nobody has chosen yet, as a JSON list: in them `wished` is what WhatsApp has, as far as it told.
    left_open TEXT NOT NULL,
    -- What WhatsApp was last told, or what was last taken over from it, as JSON; NULL = nothing yet. When it was told.
    pushed TEXT,
    pushed_at BIGINT,
    -- What WhatsApp last said it has, as JSON, and when.
    seen TEXT,
    seen_at BIGINT,
    -- Why the last push failed, and how many have in a row; NULL and 0 = it did not.
    push_error TEXT,
    push_failures BIGINT NOT NULL,
    -- When to try again; NULL = nothing to push.
    push_at BIGINT
);
CREATE INDEX number_settings_by_push ON number_settings (push_at);

CREATE TABLE restrictions (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    kind TEXT NOT NULL,
    since BIGINT NOT NULL,
    -- NULL = until WhatsApp says otherwise.
    expires_at BIGINT,
    remediation TEXT,
    PRIMARY KEY (number_id, kind)
);

-- WhatsApp's early warnings.
CREATE TABLE violations (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    remediation TEXT,
    PRIMARY KEY (number_id, kind)
);

-- Calls by hour, for the pickup guard: a week is 168 rows whatever the traffic.
CREATE TABLE pickup (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    hour BIGINT NOT NULL,
    inbound BIGINT NOT NULL,
    inbound_missed BIGINT NOT NULL,
    outbound BIGINT NOT NULL,
    outbound_missed BIGINT NOT NULL,
    PRIMARY KEY (number_id, hour)
);
CREATE TABLE pickup_stages (
    number_id TEXT NOT NULL PRIMARY KEY REFERENCES numbers (id),
    stage TEXT NOT NULL,
    since BIGINT NOT NULL
);

-- When the gateway last said that it runs, while it had calls: none of them lasted longer than is known from here.
INSERT INTO counters (name, value) VALUES ('alive', 0);

-- WhatsApp business accounts, as the webhooks of their numbers name them.
CREATE TABLE business_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    learnt_at BIGINT NOT NULL,
    -- When its calls are to be compared with WhatsApp's count next.
    compare_at BIGINT NOT NULL,
    -- Why the last comparison failed, and how many have in a row; NULL and 0 = it did not.
    error TEXT,
    failures BIGINT NOT NULL
);
CREATE INDEX business_accounts_by_comparison ON business_accounts (compare_at);
ALTER TABLE numbers ADD COLUMN waba_id TEXT REFERENCES business_accounts (id);
CREATE INDEX numbers_by_account ON numbers (waba_id);

-- Days of an account, ours and WhatsApp's side by side.
CREATE TABLE reconciliations (
    waba_id TEXT NOT NULL REFERENCES business_accounts (id),
    -- Days since 1970, UTC.
    day BIGINT NOT NULL,
    agrees SMALLINT NOT NULL,
    -- The whole comparison, as JSON.
    body TEXT NOT NULL,
    PRIMARY KEY (waba_id, day)
);
CREATE INDEX reconciliations_by_age ON reconciliations (day, waba_id);

-- Answered calls of a number by their end.
CREATE INDEX calls_answered ON calls (number_id, ended_at) WHERE answered_at IS NOT NULL;

-- Nothing more will be said about the call: it has been charged and counted.
ALTER TABLE calls ADD COLUMN settled SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN charge_micros BIGINT;
ALTER TABLE calls ADD COLUMN charge_currency TEXT;
ALTER TABLE calls ADD COLUMN charge_pulses BIGINT;
-- When to try again to charge it, because the ledger refused; NULL = the books have it.
ALTER TABLE calls ADD COLUMN charge_again_at BIGINT;
CREATE INDEX calls_uncharged ON calls (charge_again_at) WHERE charge_again_at IS NOT NULL;
-- The pack the call was decided by.
ALTER TABLE calls ADD COLUMN pack TEXT;
-- When the number opens next, of a call that the hours turned away.
ALTER TABLE calls ADD COLUMN opens_at BIGINT;
-- Who placed an outbound call, as JSON.
ALTER TABLE calls ADD COLUMN placed_by TEXT;
-- From the button or the link that began a customer's call.
ALTER TABLE calls ADD COLUMN cta_payload TEXT;
ALTER TABLE calls ADD COLUMN deeplink_payload TEXT;
-- What ended before all this is settled.
UPDATE calls SET settled = 1 WHERE state = 'ended';
CREATE INDEX calls_unsettled ON calls (id) WHERE settled = 0 AND state = 'ended';

-- Calls made before all this count as if it had been there: in the limits, the service windows, the permissions' history
-- and the pickup guard. A contact folded into another counts as that one.
INSERT INTO dials (call_id, number_id, contact_id, position, dialled_at, connected_at, in_flight, reserved_micros, pack)
SELECT calls.id, number_id, COALESCE(merged_into, contacts.id),
    ROW_NUMBER() OVER (PARTITION BY number_id ORDER BY calls.created_at, calls.id), calls.created_at, answered_at,
    CASE WHEN state <> 'ended' AND answered_at IS NULL THEN 1 ELSE 0 END, 0, ''
FROM calls JOIN contacts ON contacts.id = contact_id WHERE direction = 'business_initiated';
INSERT INTO dial_counters (number_id, dialled, in_flight)
SELECT number_id, COUNT(*), CAST(SUM(in_flight) AS BIGINT) FROM dials GROUP BY number_id;

INSERT INTO service_windows (number_id, contact_id, opened_at)
SELECT number_id, COALESCE(merged_into, contacts.id),
    MAX(CASE direction WHEN 'user_initiated' THEN calls.created_at ELSE answered_at END)
FROM calls JOIN contacts ON contacts.id = contact_id WHERE direction = 'user_initiated' OR answered_at IS NOT NULL
GROUP BY number_id, COALESCE(merged_into, contacts.id);

INSERT INTO permission_events (number_id, contact_id, key, at, body)
SELECT number_id, COALESCE(merged_into, contacts.id), 'call:' || calls.id, COALESCE(answered_at, ended_at),
    CASE WHEN answered_at IS NULL THEN '{"what":"unanswered"}' ELSE '{"what":"connected"}' END
FROM calls JOIN contacts ON contacts.id = contact_id WHERE answered_at IS NOT NULL
    OR direction = 'business_initiated' AND ended_at IS NOT NULL
    AND end_reason IN ('missed_by_customer', 'rejected_by_customer');
-- These are in no list yet.
INSERT INTO permissions (number_id, contact_id, revision, state, touched_at)
SELECT DISTINCT number_id, contact_id, 0, '', 0 FROM permission_events WHERE key LIKE 'call:%'
ON CONFLICT (number_id, contact_id) DO NOTHING;

INSERT INTO pickup (number_id, hour, inbound, inbound_missed, outbound, outbound_missed)
SELECT number_id, ended_at / 3600000, SUM(inbound), SUM(inbound * missed), SUM(1 - inbound), SUM((1 - inbound) * missed)
FROM (SELECT number_id, ended_at, CASE direction WHEN 'user_initiated' THEN 1 ELSE 0 END AS inbound,
    CASE WHEN answered_at IS NULL THEN 1 ELSE 0 END AS missed
    FROM calls WHERE state = 'ended' AND ended_at IS NOT NULL AND (answered_at IS NOT NULL OR end_reason IN
    ('missed_by_agent', 'no_agent_available', 'caller_cancelled', 'missed_by_customer', 'rejected_by_customer'))) ended
GROUP BY number_id, ended_at / 3600000;
