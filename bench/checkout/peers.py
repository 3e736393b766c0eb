"""The peers: pgbench with one transaction an order, pgbench with the batch, asyncpg with one transaction an order."""

import os
import re
import subprocess
from pathlib import Path

from app.embedded.binaries import postgres_bin

CLIENTS = 16
BATCH = 256
NEXT = "'a' || lpad(nextval('bench_n')::text, 15, '0')"

# The same rows as commit_orders writes, with the same guards, for one attempt and in one statement: the least that a
# transaction of its own can do. It knows that the attempt has one line and asks for one verdict.
ONE = """
WITH taken AS (
    UPDATE payment_attempts SET state = 'committed', updated_at = now()
     WHERE id = {attempt} AND line = 1 AND state IN ('started', 'authorised') RETURNING *
), stock AS (
    UPDATE pools p SET sold = p.sold + t.quantity FROM taken t
     WHERE p.id = t.pool_id AND p.sold + t.quantity <= p.allotment RETURNING p.id
), buyer AS (
    INSERT INTO pool_buyers AS b (pool_id, account_id, sold) SELECT pool_id, account_id, quantity FROM taken
    ON CONFLICT (pool_id, account_id) DO UPDATE SET sold = b.sold + excluded.sold
     WHERE b.sold + excluded.sold <= (SELECT s.per_buyer_limit FROM pools p JOIN flash_sales s ON s.id = p.flash_sale_id
                                       WHERE p.id = b.pool_id) RETURNING pool_id
), new_order AS (
    INSERT INTO orders (id, account_id, shop_id, show_id, state, total_minor, currency, created_at)
    SELECT id, account_id, shop_id, show_id, 'authorised', amount_minor, currency, now() FROM taken
), new_line AS (
    INSERT INTO order_lines (order_id, line, hold_id, pool_id, variant_id, title, quantity, unit_price_minor)
    SELECT id, line, hold_id, pool_id, variant_id, title, quantity, unit_price_minor FROM taken
), posted AS (
    INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
    SELECT id, 'authorised', 'authorised', 'owed', amount_minor, currency, now() FROM taken
), notes AS (
    INSERT INTO outbox (topic, subject)
    SELECT topic, id FROM taken, (VALUES ('order.committed'), ('capture')) AS topics (topic)
)
SELECT 1 / count(*) FROM stock, buyer"""
ONE_PGBENCH = ONE.format(attempt=f"(SELECT {NEXT})") + ";\n"
ONE_ASYNCPG = ONE.format(attempt="$1")

BATCH_PGBENCH = f"""
SELECT count(*) FROM commit_orders(ARRAY(SELECT {NEXT} FROM generate_series(1, {BATCH})), now(), false);
"""

# The attempt too: what begins before the provider is asked, and what ends when it has said yes.
WHOLE_PGBENCH = (
    """SELECT nextval('bench_n') AS n \\gset
INSERT INTO payment_attempts (id, line, hold_id, pool_id, account_id, shop_id, show_id, variant_id, title, quantity,
                              unit_price_minor, amount_minor, currency, method, state, hold_expires_at,
                              idempotency_key, body_hash)
SELECT 'a' || lpad(:n::text, 15, '0'), 1, p.id || '-' || :n, p.id, 'buyer' || :n::bigint * 7919 % 5000, 'shop', 'show',
       p.variant_id, 'Bowl, Blue', 1, 600, 600, 'EUR', 'works', 'started', now() + interval '1 hour',
       'key-of-a-buyer-' || :n, decode(md5(:n::text), 'hex')
  FROM pools p WHERE p.id = 'pool' || :n % 64 FOR KEY SHARE;
"""
    + ONE.format(attempt="'a' || lpad(:n::text, 15, '0')")
    + ";\n"
)


def pgbench(url: str, folder: Path, script: str, *, clients: int, transactions: int) -> float:
    """Transactions a second. Each client does its share of `transactions`."""
    file = folder / "script.sql"
    file.write_text(script)
    own = postgres_bin() / "pgbench"
    done = subprocess.run(
        [
            own if own.exists() else "pgbench",
            *("-n", "-M", "prepared", "-f", file, "-c", str(clients), "-j", "2"),
            *("-t", str(transactions // clients), url),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode or found is None or failed is None or int(failed.group(1)):
        raise RuntimeError(f"pgbench: {done.stdout}{done.stderr}")
    return float(found.group(1))
