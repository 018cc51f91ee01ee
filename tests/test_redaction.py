"""Secrets are masked by key and in URIs, and columns are never taken for secrets."""

import pytest

from headrace import redaction
from headrace.redaction import redact_recipe, redact_text, redact_value


@pytest.fixture(autouse=True)
def no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of recipes that other tests of this process have read are masked everywhere."""
    monkeypatch.setattr(redaction, "_remembered", set())


def test_redact_masks_secret_keys_and_uri_credentials() -> None:
    tree = {
        "uri": "postgresql://me:pw@db/x",
        "conf": {"spark.hadoop.fs.s3a.secret.key": "abc", "spark.hadoop.fs.s3a.access.key": "k"},
        "list": ["https://token@host/p", "s3://me:p@ss@host/p", 3],
        "password": None,
        "fs.azure.account.key.x": "abc",
        "classes": "kept",
    }
    assert redact_value(tree) == {
        "uri": "postgresql://***@db/x",
        "conf": {"spark.hadoop.fs.s3a.secret.key": "***", "spark.hadoop.fs.s3a.access.key": "***"},
        "list": ["https://***@host/p", "s3://***@host/p", 3],
        "password": None,
        "fs.azure.account.key.x": "***",
        "classes": "kept",
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "sc://host:443/;use_ssl=true;token=dapi0123;x=1",
            "sc://host:443/;use_ssl=true;token=***;x=1",
        ),
        ("sc://host:443/;x-api-key=dapi0123", "sc://host:443/;x-api-key=***"),
        ("sc://me:dapi0123@host:443/;user_id=me", "sc://***@host:443/;user_id=me"),
    ],
)
def test_a_token_of_a_spark_connect_server_is_masked(url: str, shown: str) -> None:
    assert redact_text(f"no answer from {url}", {}) == f"no answer from {shown}"
    assert redact_recipe({"spark": {"remote": url}}) == {"spark": {"remote": shown}}
    # Messages of gRPC may have it alone.
    assert redact_text("bearer dapi0123", {"SPARK_REMOTE": url}) == "bearer ***"


def test_a_recipe_keeps_its_columns_whatever_they_are_called() -> None:
    tree = {
        "source": {
            "tables": {"t": {"columns": {"api_key": "integer"}, "options": {"password": "abc"}}},
            "joins": [{"columns": {"token": "height"}, "path": "s3://me:pw@lake/t"}],
        },
        "spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "abc"}},
    }
    assert redact_recipe(tree) == {
        "source": {
            "tables": {"t": {"columns": {"api_key": "integer"}, "options": {"password": "***"}}},
            "joins": [{"columns": {"token": "height"}, "path": "s3://***@lake/t"}],
        },
        "spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "***"}},
    }


def test_text_without_credentials_is_untouched() -> None:
    assert (
        redact_text("see s3://bucket/a@b and http://h:5000")
        == "see s3://bucket/a@b and http://h:5000"
    )


@pytest.mark.parametrize(
    "key",
    ["token", "API_KEY", "accountKey", "private-key", "db.passwd", "pwd", "sas", "fs.sas.x"],
)
def test_a_key_that_names_a_secret_is_masked(key: str) -> None:
    assert redact_value({key: "hunter2"}) == {key: "***"}
    assert redact_value({key: ["hunter2", "other"]}) == {key: ["***", "***"]}
    assert redact_value({key: {"inner": "hunter2"}}) == {key: {"inner": "hunter2"}}


@pytest.mark.parametrize("key", ["key", "keys", "saskatoon", "monkey", "access", "epochs"])
def test_another_key_is_not(key: str) -> None:
    assert redact_value({key: "hunter2"}) == {key: "hunter2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("failed at http://u:p@h and s3://k@b/x", "failed at http://***@h and s3://***@b/x"),
        ("postgresql+psycopg2://u:p@ss@h/db", "postgresql+psycopg2://***@h/db"),
        ("me@example.com", "me@example.com"),
        ("", ""),
    ],
)
def test_user_information_of_every_uri_is_masked(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_values_that_are_no_text_stay() -> None:
    tree = {"a": 3, "b": None, "c": True, "d": [1.5, None], "token": None}
    assert redact_value(tree) == tree


SECRET = "hunter2-Xy/z@9"
FORMS = [
    "https://user:{s}@host",
    "https://user:{s}@host:8443/path",
    "postgresql://me:{s}@db/mlflow?connect_timeout=3",
    "postgresql+psycopg2://me:{s}@db:5432/x",
    "mysql://root:{s}@127.0.0.1/x",
    "redis://:{s}@cache:6379/0",
    "see https://user:{s}@host, and try again",
    "HTTPSConnectionPool(host='https://u:{s}@h', port=443): Max retries exceeded",
    "https://host/x?password={s}",
    "https://host/x?user=me&pwd={s}&x=1",
    "https://acct.blob.core.windows.net/c?sv=1&sig={s}",
    "https://b.s3.amazonaws.com/k?X-Amz-Signature={s}&X-Amz-Expires=60",
    "https://b.s3.amazonaws.com/k?X-Amz-Credential={s}",
    "https://b.s3.amazonaws.com/k?X-Amz-Security-Token={s}",
    "jdbc:postgresql://db/x?user=me&password={s}",
    "jdbc:sqlserver://db;user=me;password={s};encrypt=true",
    "-Djavax.net.ssl.trustStorePassword={s}",
    "-Dspark.authenticate.secret={s} -Xmx1g",
    "spark.hadoop.fs.s3a.encryption.key={s}",
    "spark.hadoop.fs.s3a.secret.key = {s}",
    "DB_PASS={s}",
    "PGPASSWORD={s} psql",
    "AWS_SECRET_ACCESS_KEY='{s}'",
    'export TOKEN="{s}"',
    '{{"password": "{s}"}}',
    "{{'api_key': '{s}', 'x': 1}}",
    "Authorization: Bearer {s}",
    "{{'Authorization': 'Basic {s}'}}",
    "AccountKey={s};EndpointSuffix=core.windows.net",
    "SharedAccessSignature={s}",
    "key 'store_password' = '{s}'",
]


@pytest.mark.parametrize("form", FORMS)
def test_thirty_forms_of_a_secret(form: str) -> None:
    secret = SECRET
    if form.startswith("Authorization") or "Basic" in form or form.startswith(("key", "export")):
        secret = "hunter2-Xyz9"
    shown = redact_text(form.format(s=secret), {})
    assert "***" in shown
    assert not any(part in shown for part in ("hunter2", "Xy", "z@9", "z9")), shown


@pytest.mark.parametrize("text", ["the run ended with {s}", "x{s}y", "{q}", "a: [{s}, {s}]"])
@pytest.mark.parametrize("name", ["DB_PASS", "MLFLOW_TRACKING_PASSWORD", "MY_API_KEY", "HF_TOKEN"])
def test_secrets_of_the_environment_are_masked_wherever_they_are(name: str, text: str) -> None:
    secret = "correct horse/battery"
    text = text.format(s=secret, q="correct%20horse%2Fbattery")
    assert "battery" not in redact_text(text, {name: secret})


def test_passwords_within_urls_of_the_environment_are_known() -> None:
    environment = {"DATABASE_URL": "postgresql://me:pa%2Fssword@db/x"}
    assert redact_text("login failed: pa/ssword", environment) == "login failed: ***"


@pytest.mark.parametrize(
    "text",
    [
        "column 'passengers' is missing; there are: seats, engines",
        "features.token: no such column",
        "http://localhost:5000/#/experiments/1",
        "split.key=[day] train.epochs=3 passes=2 sigma=0.5 design=1 assassin=x",
        "models:/flights@champion",
        "/tmp/x@y/z:3",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token", "TOKEN_OK": "true"}
    assert redact_text(text, environment) == text


def test_working_directories_of_the_shell_stay() -> None:
    """Every path below them was masked: PWD is no password."""
    environment = {"PWD": "/home/me/lake", "OLDPWD": "/home/me", "DB_PWD": "correct horse"}
    text = "/home/me/lake/r.yaml cannot be read"
    assert redact_text(text, environment) == text
    assert redact_text("correct horse", environment) == "***"


def test_expressions_of_a_recipe_stay() -> None:
    """They are compared with those of the next recipe."""
    tree = {"label": {"expression": "token = 'a' and password = 3"}, "name": "x"}
    assert redact_recipe(tree) == tree


@pytest.mark.parametrize(
    "piece", ["x", "a.b-", "password=", "http://a:", '"', "a='", "'a': ", " ", "= ", "aA", "://"]
)
def test_long_texts_are_read_in_one_pass(piece: str) -> None:
    """A pattern that looked at every end from every begin took minutes for each of them."""
    assert redact_text(piece * (200_000 // len(piece)), {}) is not None


def test_secrets_of_a_recipe_are_masked_where_nothing_tells_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the parsers of URLs put them: `Failed to parse: 'me:hunter2-Xy' is not a port`."""
    monkeypatch.setattr(redaction, "_remembered", set())
    tree = {
        "tracking": {"uri": f"http://me:{SECRET}@host/x"},
        "spark": {"conf": {"spark.hadoop.store.password": "gigolo99"}},
        "features": {"words": {"tokenizer": "whitespace"}},
    }
    redaction.remember_secrets(tree)
    assert redact_text("'me:hunter2-Xy' is no port", {}) == "'me:***' is no port"
    assert redact_text("login with gigolo99 failed", {}) == "login with *** failed"
    assert redact_text("a tokenizer by whitespace", {}) == "a tokenizer by whitespace"


def test_pieces_of_secrets_of_the_environment_are_masked() -> None:
    environment = {"OPENLINEAGE_URL": f"http://me:{SECRET}@host"}
    assert "hunter2" not in redact_text("Failed to parse: 'me:hunter2-Xy'", environment)


def test_what_expressions_compare_with_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column may be called `token`: its values were masked in every line of output."""
    monkeypatch.setattr(redaction, "_remembered", set())
    table = {"where": "token = 'approved'", "path": "https://me:pa55word@h/t?sig=s1gnature"}
    tree = {
        "source": {"tables": {"t": {**table, "options": {"password": "gigolo99"}}}},
        "clean": {"rules": [{"expr": "api_key='customer' or pass = 'returned'"}]},
        "label": {"expression": "secret = 'whatever'"},
    }
    redaction.remember_secrets(tree)
    text = "approved customer returned whatever"
    assert redact_text(text, {}) == text
    assert redact_text("pa55word s1gnature gigolo99", {}) == "*** *** ***"
