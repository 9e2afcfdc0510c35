// Loads the program and lets it take over the page.
import init from "./app.js";

init({ module_or_path: new URL("./app_bg.wasm", import.meta.url) }).catch((error) => {
    console.error(error);
    const lines = [
        ["zh", "页面未能加载，请刷新重试。"],
        ["en", "The page could not be loaded. Please reload it to try again."],
    ];
    for (const [lang, text] of lines) {
        const line = document.createElement("p");
        line.lang = lang;
        line.className = "failed";
        line.textContent = text;
        document.body.append(line);
    }
});
