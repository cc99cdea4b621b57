import { render } from "preact";
import { App } from "./app";
import { fromBrowser, language } from "./i18n";
import { watchTab } from "./live";
import { watchNames } from "./parts/names";
import { watchAddress } from "./router";
import { begin } from "./session";
import "./style.css";
import "./admin.css";

language.value = fromBrowser(navigator.languages);
watchAddress();
watchTab();
watchNames();
void begin();
render(<App />, document.body);
