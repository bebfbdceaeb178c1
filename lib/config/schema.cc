#include "lib/config/schema.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/dynamic_message.h>

#include <algorithm>
#include <set>

#include "lib/base/strings.h"
#include "lib/config/objects.h"
#include "lib/config/values.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::config {
namespace pb = google::protobuf;

namespace {

// Levenshtein distance, one row at a time.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

void AddWithImports(const pb::FileDescriptor& file, std::set<std::string>& seen,
                    pb::FileDescriptorSet& out) {
  if (!seen.insert(file.name()).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddWithImports(*file.dependency(i), seen, out);
  file.CopyTo(out.add_file());
}

}  // namespace

const v1::FieldRules& RulesOf(const pb::FieldDescriptor& field) {
  return field.options().GetExtension(v1::field);
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  // One mistake in three letters, or two letters changed places; more is another word.
  size_t limit = word.size() <= 3 ? 2 : std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = Distance(base::Lower(word), base::Lower(candidate));
    if (distance < limit) {
      limit = distance;
      best = candidate;
    }
  }
  return best;
}

Schema::Schema() = default;
Schema::~Schema() = default;

const Schema& Schema::Generated() {
  static const Schema* const schema = [] {
    // Static libraries bring only what is referred to.
    v1::Settings::descriptor();
    auto* made = new Schema;
    std::vector<std::string> files;
    pb::DescriptorPool::internal_generated_database()->FindAllFileNames(&files);
    for (const std::string& name : files) {
      const pb::FileDescriptor* file = pb::DescriptorPool::generated_pool()->FindFileByName(name);
      for (int i = 0; file != nullptr && i < file->message_type_count(); ++i)
        made->Add(*file->message_type(i));
    }
    made->Sort();
    return made;
  }();
  return *schema;
}

absl::StatusOr<std::unique_ptr<Schema>> Schema::FromFileSet(std::string_view bytes) {
  pb::FileDescriptorSet set;
  if (!set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return base::Invalid("the schema is not a FileDescriptorSet");
  }
  std::unique_ptr<Schema> made(new Schema);
  made->pool_ = std::make_unique<pb::DescriptorPool>();
  for (const pb::FileDescriptorProto& proto : set.file()) {
    const pb::FileDescriptor* file = made->pool_->BuildFile(proto);
    if (file == nullptr)
      return base::Invalid(base::StrCat("the schema's file ", proto.name(), " does not build"));
    for (int i = 0; i < file->message_type_count(); ++i) made->Add(*file->message_type(i));
  }
  made->factory_ = std::make_unique<pb::DynamicMessageFactory>(made->pool_.get());
  made->Sort();
  return made;
}

void Schema::Add(const pb::Descriptor& message) {
  if (!message.options().HasExtension(v1::kind)) return;
  const v1::KindOptions& options = message.options().GetExtension(v1::kind);
  Kind kind;
  kind.descriptor = &message;
  kind.full_name = message.full_name();
  kind.word = options.word();
  kind.help = options.help();
  kind.singleton = options.singleton();
  kind.directory = options.directory();
  kind.audience.assign(options.audience().begin(), options.audience().end());
  for (int i = 0; i < message.field_count(); ++i) {
    if (RulesOf(*message.field(i)).key()) kind.key = message.field(i);
  }
  kinds_.push_back(std::move(kind));
}

void Schema::Sort() {
  std::sort(kinds_.begin(), kinds_.end(),
            [](const Kind& a, const Kind& b) { return a.word < b.word; });
}

const Kind* Schema::Find(std::string_view name) const {
  for (const Kind& kind : kinds_) {
    if (kind.word == name || kind.full_name == name) return &kind;
  }
  return nullptr;
}

absl::StatusOr<const Kind*> Schema::Lookup(std::string_view name) const {
  if (const Kind* kind = Find(name)) return kind;
  std::vector<std::string> words;
  for (const Kind& kind : kinds_) words.push_back(kind.word);
  const std::string nearest = Nearest(name, words);
  if (!nearest.empty()) {
    return base::NotFound(base::StrCat("no kind \"", name, "\"; did you mean \"", nearest, "\"?"));
  }
  return base::NotFound(base::StrCat("no kind \"", name, "\"; known: ", base::Join(words, ", ")));
}

std::unique_ptr<pb::Message> Schema::New(const Kind& kind) const {
  pb::MessageFactory* factory = factory_ ? factory_.get() : pb::MessageFactory::generated_factory();
  return std::unique_ptr<pb::Message>(factory->GetPrototype(kind.descriptor)->New());
}

std::string Schema::FileSet() const {
  pb::FileDescriptorSet set;
  std::set<std::string> seen;
  for (const Kind& kind : kinds_) AddWithImports(*kind.descriptor->file(), seen, set);
  return set.SerializeAsString();
}

std::vector<std::string> Schema::Mistakes() const {
  std::vector<std::string> lines;
  std::set<std::string> words;
  for (const Kind& kind : kinds_) {
    if (kind.word.empty()) lines.push_back(kind.full_name + ": no word");
    if (!words.insert(kind.word).second)
      lines.push_back(kind.full_name + ": word taken: " + kind.word);
    if (!kind.singleton && kind.key == nullptr) lines.push_back(kind.full_name + ": no key field");
    if (kind.help.empty()) lines.push_back(kind.full_name + ": no help");
    for (int i = 0; i < kind.descriptor->field_count(); ++i) {
      const pb::FieldDescriptor& field = *kind.descriptor->field(i);
      const v1::FieldRules& rules = RulesOf(field);
      const std::string where = base::StrCat(kind.word, ".", field.name(), ": ");
      if (rules.help().empty()) lines.push_back(where + "no help");
      if (!rules.reference().empty() && Find(rules.reference()) == nullptr) {
        lines.push_back(where + "refers to an unknown kind: " + rules.reference());
      }
      for (const Profile profile : {Profile::kModern, Profile::kHMailServer}) {
        const absl::Status status = SetDefault(*New(kind), field, profile);
        if (!status.ok()) lines.push_back(where + "default: " + std::string(base::Message(status)));
      }
    }
  }
  return lines;
}

absl::StatusOr<const pb::FieldDescriptor*> FieldOf(const Kind& kind, std::string_view name) {
  std::vector<std::string> names;
  for (int i = 0; i < kind.descriptor->field_count(); ++i) {
    const pb::FieldDescriptor* field = kind.descriptor->field(i);
    if (field->name() == name) return field;
    names.push_back(field->name());
  }
  const std::string nearest = Nearest(name, names);
  return base::Invalid(nearest.empty() ? base::StrCat("unknown field \"", name, "\" of ", kind.word,
                                                      "; known: ", base::Join(names, ", "))
                                       : base::StrCat("unknown field \"", name, "\" of ", kind.word,
                                                      "; did you mean \"", nearest, "\"?"));
}

}  // namespace posthorn::config
