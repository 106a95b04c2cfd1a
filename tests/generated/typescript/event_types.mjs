// Writes the types of an AsyncAPI document: node event_types.mjs DOCUMENT FOLDER. By a URL modelina leaves the version to its parser,
// which knows 3.1; the list of versions that it keeps itself ends before.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { JavaGenerator, TypeScriptGenerator } from "@asyncapi/modelina";

const [document, folder] = process.argv.slice(2);
const languages = [
  ["ts", new TypeScriptGenerator({ modelType: "interface" }), { exportType: "named" }],
  ["java", new JavaGenerator(), { packageName: "perpetua.events" }],
];
for (const [suffix, generator, options] of languages) {
  await mkdir(join(folder, suffix), { recursive: true });
  for (const model of await generator.generateCompleteModels(pathToFileURL(document).href, options)) {
    await writeFile(join(folder, suffix, `${model.modelName}.${suffix}`), model.result);
  }
}
