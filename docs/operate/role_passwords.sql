-- Gives each role of postgres_roles.sql its password, out of the environment: docker-compose.yml runs it so.
\getenv password READER_PASSWORD
ALTER ROLE perpetua_reader PASSWORD :'password';
\getenv password API_PASSWORD
ALTER ROLE perpetua_api PASSWORD :'password';
\getenv password RELAY_PASSWORD
ALTER ROLE perpetua_relay PASSWORD :'password';
\getenv password ENGINE_PASSWORD
ALTER ROLE perpetua_engine PASSWORD :'password';
\getenv password PROJECTION_PASSWORD
ALTER ROLE perpetua_projection PASSWORD :'password';
\getenv password PUBLISHER_PASSWORD
ALTER ROLE perpetua_publisher PASSWORD :'password';
\getenv password CLOCK_PASSWORD
ALTER ROLE perpetua_clock PASSWORD :'password';
\getenv password LIQUIDATOR_PASSWORD
ALTER ROLE perpetua_liquidator PASSWORD :'password';
