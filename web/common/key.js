// Asks for the API key where the server wants one (any answer of 401), in one dialog at a time; with a new key the page goes on with `again`.
import {setApiKey} from "./api.js";
import {ask} from "./dom.js";

export function askForKey(again) {
  let asking = false;
  window.addEventListener("r1:unauthorized", async () => {
    if (asking) return;
    asking = true;
    const key = await ask({title: "API key", text: "This server asks for a key.", action: "Use it", field: ""});
    asking = false;
    if (!key) return;
    setApiKey(key);
    again();
  });
}
