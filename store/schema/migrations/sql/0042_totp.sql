-- The second factor of a login. The secret is not stored: it follows from the user, the nonce and a key that only API processes have
-- (RFC 4226, section 7.5). `key_id` is a digest of that key, so that a process with another key refuses instead of counting a failure.
-- `last_step` is the time step of the last accepted code: a code is accepted once.
CREATE TABLE totp (
  user_id int8 PRIMARY KEY REFERENCES users,
  nonce bytea NOT NULL CHECK (octet_length(nonce) = 20),
  key_id bytea NOT NULL CHECK (octet_length(key_id) = 8),
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz,
  last_step int8 NOT NULL DEFAULT 0,
  failures int4 NOT NULL DEFAULT 0,
  failed_at timestamptz
);

CREATE TABLE recovery_codes (
  user_id int8 NOT NULL REFERENCES totp ON DELETE CASCADE,
  code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
  used_at timestamptz,
  PRIMARY KEY (user_id, code_hash)
);
