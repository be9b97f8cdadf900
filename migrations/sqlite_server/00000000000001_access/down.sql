DROP TABLE principal_change_recorded;
DROP TABLE principal_change_ledger;
DROP TABLE principal_change;
DROP TABLE token;
DROP TABLE access_grant;
DROP TABLE principal;
DROP TABLE access_generation;
