/** The entry: styles, the stream, the sound, the page. */

import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/cards.css";
import "./style/device.css";
import "./style/alarms.css";
import "./style/wall.css";
import "./style/enter.css";
import "./style/narrow.css";
import "./style/print.css";
import { App } from "./app";
import { startDesk } from "./desk";
import { startSound } from "./sound";
import { startStream } from "./stream";

startStream();
startSound();
startDesk();
const root = document.getElementById("app");
if (root) render(<App />, root);
