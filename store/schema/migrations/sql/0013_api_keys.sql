-- Keys that programs call with in a user's name. The secret is 256 random bits: its SHA-256 cannot be guessed back, and
-- is found by an index, so nothing is compared byte by byte. A revoked key stays, to be shown.
CREATE TABLE api_keys (
  key_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id int8 NOT NULL REFERENCES users,
  secret_hash bytea NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
  label text NOT NULL,
  scopes text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'trade', 'withdraw']),
  allowed_addresses cidr[] NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz
);

CREATE INDEX api_keys_user ON api_keys (user_id, key_id);
